/// The best pipeline for time, with its proof (strategy "optimal").
///
/// Finds stages and replicas on up to N equal devices with the smallest possible bottleneck over
/// all convex segmentations of the operator graph, under the simulator's times: computation,
/// transfers in and out, streaming of what does not fit, fixed costs, and the runner's hop per
/// stage. Not only horizontal cuts, nor one topological order: every chain of ideals (sets closed
/// under "depends on") is a candidate. CNNs have few ideals (ResNet152 224, InceptionV4 2237), so
/// an exact search over all of them takes milliseconds.
///
/// Method: for a bottleneck T the fewest devices that cover the ideals up to J are the best over
/// all I before J of those up to I plus ceil(time(I, J) / T); T is bisected between a lower bound
/// and the best pipeline found. Sources: J. Tarnawski et al., "Efficient algorithms for device
/// placement of DNN graph operators" (NeurIPS 2020), dynamic program over ideals; A. Pinar, C.
/// Aykanat, "Fast optimal load balancing algorithms for 1D partitioning" (JPDC 64, 2004), bisection
/// that moves to realisable bottlenecks. Streaming is a cost here, not a limit.
///
/// Thread-safety: a pure function. Deterministic.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "segue/device.h"
#include "segue/graph.h"
#include "segue/segmentation.h"
#include "segue/units.h"

namespace segue {

enum class Objective {
  kThroughput,  // smallest time between two results
  kLatency      // smallest time of one input through all stages
};

struct OptimalOptions {
  std::size_t devices = 1;       // at most this many
  std::size_t max_replicas = 0;  // of one stage; 1: a pure pipeline; 0: no limit
  Objective objective = Objective::kThroughput;
};

/// What no segmentation can beat, and whether the one given reaches it.
struct Bound {
  Nanoseconds value{0};
  bool is_proven = false;  // value is what the segmentation reaches: it is optimal
};

struct OptimalSegmentation {
  Segmentation segmentation;
  std::vector<std::uint32_t> replicas;  // per segment
  Nanoseconds bottleneck{0};            // between two results
  Nanoseconds latency{0};               // of one input
  Bound bound;                          // of the objective
  std::size_t ideals = 0;               // looked at
};

/// Ties: fewer stages, then fewer host bytes, then the earliest cuts. A graph of more than 60,000
/// ideals (NASNet) is searched along its orders by depth and by file only, and the bound comes from
/// the work that any segmentation must do. O(ideals^2) per step of the bisection. Throws
/// Error(kInvalidArgument) for 0 devices.
[[nodiscard]] OptimalSegmentation segment_optimal(const Graph& graph, const DeviceSpec& device,
                                                  const OptimalOptions& options);

}  // namespace segue
