// What a timeline can simulate.
#pragma once

#include <span>

#include "segue/timeline.h"

namespace segue {

// Throws Error(kInvalidArgument) for stages and settings that contradict each other, and for times
// that do not fit in 64 bits.
void check_timeline(std::span<const StageLoad> stages, const TimelineOptions& options);

}  // namespace segue
