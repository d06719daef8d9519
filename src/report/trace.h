/// What devices did when, for the viewers of the Trace Event Format (https://ui.perfetto.dev,
/// chrome://tracing): one track per device, arrows that follow inputs from stage to stage, and a
/// counter per queue.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "segue/pipeline.h"
#include "segue/plan.h"
#include "segue/timeline.h"

namespace segue {

/// Of a pipeline in virtual time, with what each device's time went into. The timeline must hold
/// its events (TimelineOptions::records_events); throws Error(kInvalidArgument) where it does not.
[[nodiscard]] std::string trace_json(const Plan& plan, const Timeline& timeline);

/// Of a pipeline that ran (PipelineOptions::trace_capacity).
[[nodiscard]] std::string trace_json(const std::string& model, const PipelineTrace& trace);

}  // namespace segue
