/// Latencies of segments, measured by running them.
#pragma once

#include <cstdint>
#include <memory>

#include "segue/backend.h"
#include "segue/graph.h"
#include "segue/profile.h"

namespace segue {

struct MeasureOptions {
  std::uint32_t runs = 7;  // of which the fastest counts, after one that does not
  std::uint64_t seed = 1;  // of the input
};

/// Cuts a segment out of the model in memory, opens it on the backend and times it. The fastest of
/// several runs is what the segment takes; the others met something else that the machine did.
/// Graph and its model must outlive it. The callable throws as extract_segment and Backend::open.
[[nodiscard]] SegmentLatency measured_latency(const Graph& graph,
                                              std::shared_ptr<const Backend> backend,
                                              const MeasureOptions& options = {});

}  // namespace segue
