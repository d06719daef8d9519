/// Latencies of segments, measured by running them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "segue/backend.h"
#include "segue/graph.h"
#include "segue/profile.h"
#include "segue/units.h"

namespace [[gnu::visibility("default")]] segue {

struct MeasureOptions {
  std::uint32_t runs = 7;  // after one that does not count
  std::uint64_t seed = 1;  // of the input
  /// Each run of a segment between two of the whole model, which measure how fast the machine is at
  /// this moment: one that others use too changes by a tenth within seconds, and segments are
  /// compared with each other that are measured minutes apart. Not for a device that two open
  /// models disturb.
  bool in_turns = true;
  /// Cores that run the whole model meanwhile, as the other stages of a pipeline will: what shares
  /// caches and memory is slower then, and not all segments by as much.
  std::uint32_t busy_cores = 0;
  std::function<Nanoseconds()> clock = {};  // the time since some moment; empty: steady_clock
};

/// Cuts a segment out of the model in memory, opens it on the backend and times it: the median
/// share of the whole model's time, times the fastest run of that; or, not in turns, the fastest
/// run. Graph and its model must outlive it. The callable is for one thread at a time, and throws
/// as extract_segment and Backend::open, as does this function for the whole model.
[[nodiscard]] SegmentLatency measured_latency(const Graph& graph,
                                              std::shared_ptr<const Backend> backend,
                                              const MeasureOptions& options = {});

/// The host with the times of those operators of a model that the device leaves to it, or may leave
/// to it since they depend on an operator left to it, each run alone on the backend: the fastest of
/// `options.runs` runs. One that cannot be run alone keeps its estimate. Takes a moment for each
/// operator. Throws as Backend::open where the runtime is unfit.
[[nodiscard]] HostCompute measured_host(HostCompute host, const Graph& graph,
                                        const Backend& backend, const MeasureOptions& options = {});

}  // namespace segue
