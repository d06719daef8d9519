/// Strategies that partition an operator graph into segments.
///
///  - `segment_as_vendor`, Segm_Comp (strategy "compiler"): the rule of `edgetpu_compiler
///    --num_segments`. It fills segments up to the average of the parameter bytes, so that the last
///    segment often exceeds on-chip memory.
///  - `segment_balanced`, Segm_Balanced (strategy "balanced"): minimizes the largest segment over
///    all horizontal cuts, then moves cuts while a segment streams parameters.
///  - `segment_profiled` and two other searches, Segm_Prof (strategy "profile"): minimize the
///    latency of the slowest segment, measured or simulated.
///  - `segment_at` and `segment_at_depths` (strategy "manual"): cuts given by the caller.
///
/// The exact strategy over all convex segmentations is `segment_optimal` in planner.h.
///
/// Example:
///
///     const segue::Model model = segue::read_model("resnet101.tflite");
///     const segue::Graph graph(model);
///     const auto compiler = segue::make_simulated_compiler(segue::find_device("edgetpu-pcie"));
///     const auto balanced = segue::segment_balanced(graph, 6, *compiler);
///     std::printf("%zu segments, %s streamed\n", balanced.segmentation.segments.size(),
///                 segue::format_bytes(balanced.host_bytes).c_str());
///
/// Sources: "Balanced segmentation of CNNs for multi-TPU inference" (J. Supercomputing 81, 2025);
/// google-coral/libcoral, coral/tools/partitioner, parameter_count_based_partitioner and
/// profiling_based_partitioner. docs/segmentation.md explains each strategy and its results.
///
/// All functions are deterministic. Unless stated otherwise, those with a `count` of segments throw
/// Error(kInvalidArgument) when it is 0 and Error(kInfeasible) when the model has too few operators
/// or depths for it.
///
/// Thread-safety: all functions are pure, except that a `Profile` is for one thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "segue/cost.h"
#include "segue/device.h"
#include "segue/graph.h"
#include "segue/model.h"
#include "segue/units.h"

namespace [[gnu::visibility("default")]] segue {

// --- Segm_Comp: the rule of Google's compiler

/// Partitions the operators in the order of `Graph::vendor_order()`. Each of the first count - 1
/// segments takes operators while its parameter bytes stay within total / count + 1. It leaves one
/// operator for each later segment, counted up to the first operator whose outputs no operator
/// reads. The last segment takes all remaining operators. Custom operators count as 0 bytes.
///
/// Google's program fails where a segment would be empty, because one operator exceeds the average
/// or too few operators precede that first one. This function then takes one operator.
/// O(operators + edges).
[[nodiscard]] Segmentation segment_as_vendor(const Graph& graph, std::size_t count);

// --- Segm_Balanced

/// Horizontal cuts, ascending: segment k contains the depths (cuts[k - 1], cuts[k]], where the
/// first segment starts after depth 0 and the last one ends at Graph::depth().
using DepthCuts = std::vector<std::uint32_t>;

/// Returns the segments between given cuts. Throws as check_segmentation when the cuts are not
/// ascending or leave a segment empty.
[[nodiscard]] Segmentation segment_at_depths(const Graph& graph, const DepthCuts& cuts);

/// One step of the refinement: a cut that moved, and the streamed bytes of all segments before and
/// after.
struct CutMove {
  std::size_t cut = 0;  // the border between segments cut and cut + 1
  std::uint32_t from_depth = 0;
  std::uint32_t to_depth = 0;
  std::uint64_t host_bytes_before = 0;
  std::uint64_t host_bytes_after = 0;
  bool by_search = false;  // moved by the search over all cuts, together with other cuts
};

/// The result of `segment_balanced`. Host bytes are streamed from the host at each inference,
/// summed over all segments.
struct BalancedSegmentation {
  Segmentation segmentation;
  DepthCuts cuts;
  DepthCuts initial_cuts;              // before the refinement
  std::uint64_t bottleneck_bytes = 0;  // largest segment in parameter bytes, before the refinement
  std::vector<CutMove> moves;
  std::uint64_t initial_host_bytes = 0;
  std::uint64_t host_bytes = 0;
};

/// Returns the cuts into `count` groups of levels that minimize the parameter bytes of the largest
/// group. Among these, the cuts with the smallest sum of squares win, then the earliest. For more
/// than 4096 levels, or when depth^2 * count exceeds 2^30, groups are filled from the front
/// instead.
///
/// Bisection over integers with a greedy probe, O(depth * log(bytes)), then a dynamic program,
/// O(depth^2 * count). Source: A. Pinar, C. Aykanat, "Fast optimal load balancing algorithms for 1D
/// partitioning" (J. Parallel and Distributed Computing 64, 2004). Throws Error(kInvalidArgument)
/// when `count` is 0 or larger than the number of levels.
[[nodiscard]] DepthCuts balance_depths(std::span<const Level> levels, std::size_t count);

/// Limit for `segment_balanced`: the number of operators in all segments that it passes to the
/// compiler. It bounds the time for adversarial models to about a second with a compiler that
/// visits each operator; the simulated compiler uses sums and is faster. The query or choice in
/// progress is completed. The networks of docs/segmentation.md need up to 3.1 million.
inline constexpr std::uint64_t kMostRefinementVisits = 10'000'000;

/// Balances the segments with `balance_depths`, then refines the cuts while avoidable streaming
/// remains:
///  1. a cut next to a streaming segment moves by one depth if that lowers the host bytes of the
///     two segments that it separates, or keeps them and makes the larger segment smaller. Of all
///     such moves the one that saves most is taken;
///  2. when no such move exists, a dynamic program over all horizontal cuts minimizes the host
///     bytes and, among equals, the largest segment (only if depth^2 * count <= 2^30 and depth <=
///     4096).
///
/// No segment grows beyond the larger of the maxima of `balance_depths` and `segment_as_vendor`,
/// unless it streams less than the segment of `balance_depths` that streams most. Every move lowers
/// the host bytes or, at equal host bytes, the larger of two neighbours. The refinement therefore
/// terminates, and host bytes never increase.
///
/// Queries the compiler O(count) times per move. The search queries it O(depth log depth) times,
/// plus once for each segment that streams less than the current cuts, and takes O(depth^2 * count)
/// itself. Both stop with the best cuts so far at kMostRefinementVisits.
[[nodiscard]] BalancedSegmentation segment_balanced(const Graph& graph, std::size_t count,
                                                    const Compiler& compiler);

/// Continues step 1 of the refinement from `start` with a compiler that takes seconds per query,
/// such as Google's. Queries at most `most_questions` segments, plus one to complete a pair. A move
/// whose segment does not compile (kCompiler) is skipped. The initial cuts and host bytes of the
/// result are those of `start` under this compiler. Throws what the compiler throws for the
/// segments of `start`.
[[nodiscard]] BalancedSegmentation refine_balanced(const Graph& graph,
                                                   const BalancedSegmentation& start,
                                                   const Compiler& compiler,
                                                   std::uint64_t most_questions);

// --- Manual cuts

/// Cuts at tensors. Each tensor ends a segment that contains all operators on which the tensor
/// depends and that no earlier segment has. The last segment contains the rest. Tensors may be
/// given in any order, by their unique names. Throws Error(kInvalidArgument) for a tensor that does
/// not exist (with similar names), that no operator computes, or that would leave a segment empty.
[[nodiscard]] Segmentation segment_at(const Graph& graph, std::span<const std::string> tensors);

// --- Segm_Prof: cuts chosen by latency
//
// A callable provides the latencies: the simulator, or runs on real devices (measured_latency in
// runtime.h). A measurement on hardware takes a compilation and a run, so every latency is kept,
// and results report the number of measurements.

/// Returns the latency of one inference of a convex set of operators, in file order, on one device.
using SegmentLatency = std::function<Nanoseconds(std::span<const OperatorId> operators)>;

/// Latencies of ranges of consecutive units. A unit is a depth of a graph or one operator of an
/// order. Each latency is measured on first use and kept. Not thread-safe.
class Profile {
 public:
  /// Returns the latency of units [begin, end).
  using RunLatency = std::function<Nanoseconds(std::size_t begin, std::size_t end)>;

  /// Makes a profile whose units are depths, or operators in `Graph::vendor_order()`. The graph
  /// must outlive it. Throws Error(kUnsupported) for graphs of some thousand depths or tensor
  /// reads, whose ranges would take minutes to visit.
  [[nodiscard]] static Profile of_depths(const Graph& graph, const SegmentLatency& measure);
  [[nodiscard]] static Profile of_vendor_order(const Graph& graph, const SegmentLatency& measure);

  /// Makes a profile of simulated latencies on a device, with depths as units. Its lower bounds are
  /// the fixed time plus the computation. Throws as of_depths.
  [[nodiscard]] static Profile simulated(const Graph& graph, const DeviceSpec& device);

  /// Makes a profile of any units. `at_least`, if given, returns a lower bound of the latency that
  /// does not decrease when units are added; segments that it rules out are not measured.
  Profile(std::vector<std::vector<OperatorId>> units, RunLatency measure, RunLatency at_least = {});

  /// Number of units.
  [[nodiscard]] std::size_t size() const { return units_.size(); }
  /// Number of latencies measured so far.
  [[nodiscard]] std::uint64_t measurements() const { return latencies_.size(); }

  /// Returns the latency of units [begin, end). Throws what the callable throws.
  [[nodiscard]] Nanoseconds latency(std::size_t begin, std::size_t end);
  /// Returns the lower bound; 0 if the profile has none.
  [[nodiscard]] Nanoseconds at_least(std::size_t begin, std::size_t end) const {
    return at_least_ ? at_least_(begin, end) : Nanoseconds(0);
  }

  /// Returns the operators of units [begin, end) in file order.
  [[nodiscard]] std::vector<OperatorId> operators(std::size_t begin, std::size_t end) const;

 private:
  std::vector<std::vector<OperatorId>> units_;
  RunLatency measure_;
  RunLatency at_least_;
  std::unordered_map<std::uint64_t, Nanoseconds> latencies_;  // by begin and end
};

/// Returns a callable that simulates the latency of a segment. The graph must outlive it.
[[nodiscard]] SegmentLatency simulated_latency(const Graph& graph, const DeviceSpec& device);

/// The result of a search over a profile.
struct ProfiledSegmentation {
  Segmentation segmentation;
  Nanoseconds slowest{0};          // latency of the slowest segment
  std::uint64_t measurements = 0;  // made by this search, without latencies known before
};

/// Returns the number of choices of `count` segments, C(units - 1, count - 1), or the largest
/// integer when there are more than 10^15. It is 0 when `count` is 0 or above `units`.
[[nodiscard]] std::uint64_t count_choices(std::size_t units, std::size_t count);

/// The search of the paper: evaluates every choice of cuts. The earliest cuts win among equals.
/// Throws Error(kInfeasible) with the number of choices when it exceeds `limit`.
[[nodiscard]] ProfiledSegmentation segment_by_exhaustion(Profile& profile, std::size_t count,
                                                         std::uint64_t limit = 1'000'000);

/// Finds the same minimum with fewer measurements: at most units * (units + 1) / 2. A dynamic
/// program over the ends of segments starts from a choice found by bisection. It measures a segment
/// only if the segments before it, a lower bound of the segments after it and its own lower bound
/// are all below the best choice so far. O(count * units^2).
[[nodiscard]] ProfiledSegmentation segment_profiled(Profile& profile, std::size_t count);

/// Settings of libcoral's search.
struct BisectionOptions {
  std::size_t search_step = 1;    // units that a segment returns when the rest does not fit
  Nanoseconds difference{1'000};  // precision of the target at which the search ends
};

/// libcoral's partition_with_profiling. The target latency starts between the fastest and the
/// slowest segment of `initial` (ends of segments, as from `vendor_ends`) and is bisected. For each
/// target a segment takes as many units as stay within it, and returns some when the rest fails.
/// This assumes that more units take longer. Transfers may violate that, so the result is not
/// always optimal.
[[nodiscard]] ProfiledSegmentation segment_by_bisection(Profile& profile,
                                                        std::span<const std::size_t> initial,
                                                        const BisectionOptions& options = {});

/// Returns the ends of the segments of `segment_as_vendor`, in units of `Profile::of_vendor_order`.
[[nodiscard]] std::vector<std::size_t> vendor_ends(const Graph& graph, std::size_t count);

}  // namespace segue
