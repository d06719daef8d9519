/// The best pipeline for time, with its proof (strategy "optimal").
///
/// Finds stages and replicas on given devices with the smallest possible bottleneck over all convex
/// segmentations of the operator graph, under the simulator's times: computation, transfers in and
/// out, streaming of what does not fit, fixed costs, and the time on a
/// link that several devices share. Not only horizontal cuts, nor one topological order: every
/// chain of ideals (sets closed under "depends on") is a candidate. CNNs have few ideals (ResNet152
/// 224, InceptionV4 2237), so an exact search over all of them takes milliseconds on equal devices.
///
/// Method: for a bottleneck T, the devices that the operators beyond an ideal need are known from
/// the larger ideals. T is bisected and moves to realisable values. Where shared links,
/// a limit on latency or unequal devices count, what the operators take (devices of each pool, time
/// on shared links, stages, latency) is kept in labels none of which is worse than another in
/// everything. Pairs of ideals that no pipeline could afford, by their work and by what no device
/// can hold, are never looked at. Sources: J. Tarnawski et al., "Efficient algorithms for device
/// placement of DNN graph operators" (NeurIPS 2020), dynamic program over ideals; A. Pinar, C.
/// Aykanat, "Fast optimal load balancing algorithms for 1D partitioning" (JPDC 64, 2004).
/// Streaming is a cost here, not a limit.
///
/// Thread-safety: pure functions. Deterministic.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "segue/device.h"
#include "segue/graph.h"
#include "segue/plan.h"
#include "segue/units.h"

namespace [[gnu::visibility("default")]] segue {

struct OptimalOptions {
  std::uint32_t max_replicas = 0;  // of one stage; 1: a pure pipeline; 0: no limit
  Objective objective = Objective::kThroughput;
  std::optional<Nanoseconds> max_latency = std::nullopt;  // of one input
};

struct OptimalSegmentation {
  Segmentation segmentation;
  std::vector<PoolCounts> devices;  // per segment
  Nanoseconds bottleneck{0};        // between two results
  Nanoseconds latency{0};           // of one input
  Bound bound;                      // of the objective
  std::size_t ideals = 0;           // looked at
};

/// Uses at most the devices of the pools. A stage may run on devices of several pools: each gets
/// inputs in proportion to its speed, results wait for the slowest (latency). The link of a pool
/// that shares one is a limit: the sum over the stages of what they send through it.
///
/// Ties: fewer stages, then fewer host bytes, then the earliest cuts. A graph of more than 6,000
/// ideals (NASNet, YOLO) is searched along its orders by depth, by file and of Google's rule, so
/// that no other strategy is better, at all ideals where it is narrow, and at the first cuts that
/// minimum cuts propose. Its bound is the bottleneck of a relaxed problem: where the graph is wide,
/// a cut may have any amount of the work there before it, and what crosses it costs nothing.
///
/// A graph of more than some 2,000 operators (twice the operators and the depths: 6,000) is
/// searched on equal devices along the same orders, one by one, with a bound of the same kind;
/// chains are solved exactly. What would take
/// more than some seconds is searched at a few horizontal cuts, with a bound that is not reached.
///
/// Throws Error(kUnsupported) where even these leave too much open; Error(kInvalidArgument) for no
/// devices, more than 8 pools, or several pools with more than 4096 ways to choose from them,
/// Error(kInfeasible) naming the smallest latency possible where none keeps `max_latency`.
[[nodiscard]] OptimalSegmentation segment_optimal(const Graph& graph,
                                                  std::span<const DevicePool> pools,
                                                  const OptimalOptions& options = {});

/// On `count` equal devices.
[[nodiscard]] OptimalSegmentation segment_optimal(const Graph& graph, const DeviceSpec& device,
                                                  std::uint32_t count,
                                                  const OptimalOptions& options = {});

/// What segmentations of one graph on one kind of device have in common: ideals, and times of the
/// stages between them, computed when first asked for. Thread-safe; each result is that of
/// segment_optimal. The graph must outlive it.
class OptimalPlanner {
 public:
  /// For at most `most_devices` devices, which may share a link (DevicePool).
  OptimalPlanner(const Graph& graph, const DeviceSpec& device, std::uint32_t most_devices,
                 bool shares_link = false);
  OptimalPlanner(OptimalPlanner&& other) noexcept;
  OptimalPlanner& operator=(OptimalPlanner&& other) noexcept;
  ~OptimalPlanner();

  /// Throws Error(kInvalidArgument) for more devices than it was made for, and as segment_optimal.
  [[nodiscard]] OptimalSegmentation segment(std::uint32_t count,
                                            const OptimalOptions& options = {}) const;

 private:
  class Shared;
  std::unique_ptr<Shared> shared_;
};

}  // namespace segue
