/// Rules that choose segments: by hand, as Google's compiler does, balanced as the paper does, and
/// by measured or simulated times of candidates.
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

/// Where to cut: algorithms that take a graph and return segments.
///
///  - `segment_as_vendor` (strategy "compiler"): what `edgetpu_compiler --num_segments` does. It
///    fills segments to the average of the parameter bytes and stops just before, so that the last
///    segment collects everything the others left.
///  - `segment_balanced` (strategy "balanced"): the smallest possible largest segment over all
///    horizontal cuts, then moves of cuts while a segment streams parameters from the host.
///  - `segment_at` (strategy "manual"): cuts given by hand.
///
/// Source: "Balanced segmentation of CNNs for multi-TPU inference" (J. Supercomputing 81, 2025);
/// google-coral/libcoral, parameter_count_based_partitioner. All functions are deterministic and
/// throw Error(kInfeasible) when the model does not have that many cuts, Error(kInvalidArgument)
/// when `count` is 0.

/// Google's rule. Operators in `Graph::vendor_order()`; each of the first count - 1 segments takes
/// operators while its parameter bytes stay within total / count + 1, and leaves one for each
/// segment behind it up to the first operator whose outputs no operator reads; the last takes the
/// rest. Google's program fails where a segment would be empty, because one operator exceeds the
/// average or there are more segments than operators up to there; this function then takes one
/// operator.
/// O(operators + edges).
[[nodiscard]] Segmentation segment_as_vendor(const Graph& graph, std::size_t count);

/// Cuts between depths: segment k holds the depths (cuts[k - 1], cuts[k]], with 0 and
/// Graph::depth() at the ends.
using DepthCuts = std::vector<std::uint32_t>;

[[nodiscard]] Segmentation segment_at_depths(const Graph& graph, const DepthCuts& cuts);

/// One step of the refinement.
struct CutMove {
  std::size_t cut = 0;  // the border between segments cut and cut + 1
  std::uint32_t from_depth = 0;
  std::uint32_t to_depth = 0;
  std::uint64_t host_bytes_before = 0;  // of all segments
  std::uint64_t host_bytes_after = 0;
  bool by_search = false;  // one of the cuts that the search over all cuts moved together
};

struct BalancedSegmentation {
  Segmentation segmentation;
  DepthCuts cuts;
  DepthCuts initial_cuts;              // before the refinement
  std::uint64_t bottleneck_bytes = 0;  // largest segment in parameter bytes, before the refinement
  std::vector<CutMove> moves;
  std::uint64_t initial_host_bytes = 0;
  std::uint64_t host_bytes = 0;
};

/// Returns the cuts that fill `count` groups of levels with the smallest possible largest group in
/// parameter bytes; among those the most even (smallest sum of squares), the earliest among equals.
/// Beyond 4096 levels, or where depth^2 * count exceeds 2^30, those that fill groups from the
/// front. Bisection over integers with a greedy probe, O(depth * log(bytes)), then a dynamic
/// program, O(depth^2 * count) at most.
[[nodiscard]] DepthCuts balance_depths(std::span<const Level> levels, std::size_t count);

/// Operators that `segment_balanced` may ask the compiler about, one segment after another, before
/// it ends its refinement; the question at hand, or the choice of a move, is finished. At most
/// about a second where a compiler looks at each operator; the simulated one has sums of them. The
/// CNNs of docs/segmentation.md need up to 3.1 million.
inline constexpr std::uint64_t kMostRefinementVisits = 10'000'000;

/// Segm_Balanced. After `balance_depths`, while the host streams more than it must:
///  1. the cut above or below a streaming segment moves by one depth, if that lowers the host bytes
///     of the two segments it separates (or keeps them and lowers the larger segment);
///  2. when no such move is left, all horizontal cuts are searched for the fewest host bytes, and
///     among those for the best balance (where depth^2 * count is at most 2^30, and depth 4096).
/// Neither lets a segment grow beyond the larger of what `balance_depths` and `segment_as_vendor`
/// reach, unless it streams less than some segment of `balance_depths` does. Each move lowers host
/// bytes, or keeps them and makes the larger of two neighbours smaller, so it always ends, and host
/// bytes never grow. Asks the compiler O(count) times per move and, in the search, O(depth log
/// depth) times plus once for each segment that streams less than the cuts at hand; the search
/// itself is O(depth^2 * count). Both end early, with the best cuts so far, when the compiler was
/// asked about kMostRefinementVisits operators in sum.
[[nodiscard]] BalancedSegmentation segment_balanced(const Graph& graph, std::size_t count,
                                                    const Compiler& compiler);

/// Goes on from such cuts with a compiler that takes seconds to answer, as Google's own: step 1
/// alone, with at most `most_questions` segments asked about and one more. What the compiler does
/// not compile is no move. The result's initial cuts and bytes are those it began with. Throws what
/// the compiler throws for the segments at hand.
[[nodiscard]] BalancedSegmentation refine_balanced(const Graph& graph,
                                                   const BalancedSegmentation& start,
                                                   const Compiler& compiler,
                                                   std::uint64_t most_questions);

/// Cuts by hand: each tensor ends a segment, which holds all operators that the tensor depends on
/// and that no earlier segment has; the last segment holds the rest. Tensors may be given in any
/// order. Throws Error(kInvalidArgument) for a tensor that does not exist (naming similar ones), is
/// not computed, or would leave a segment empty.
[[nodiscard]] Segmentation segment_at(const Graph& graph, std::span<const std::string> tensors);

/// Segm_Prof: cuts chosen by measured latencies (strategy "profile").
///
/// Where the latencies come from is a callable: the simulator, or a run on real devices. Measuring
/// is what costs (a compilation and a run for each segment on hardware), so every latency is kept
/// and the number of measurements reported. Three searches for the smallest latency of the slowest
/// segment:
///  - `segment_by_bisection`: libcoral's partition_with_profiling, over Google's order of
///  operators;
///  - `segment_by_exhaustion`: the paper's, over every choice of horizontal cuts;
///  - `segment_profiled`: exact over the same cuts, from at most depth * (depth + 1) / 2
///    measurements, fewer by what cannot be better than a choice already known.
///
/// Source: google-coral/libcoral, profiling_based_partitioner; "Balanced segmentation of CNNs for
/// multi-TPU inference" (J. Supercomputing 81, 2025).

/// Latency of one inference of a convex set of operators, in file order, on one device.
using SegmentLatency = std::function<Nanoseconds(std::span<const OperatorId> operators)>;

/// Latencies of runs of consecutive units: the depths of a graph, or the operators of an order.
/// Measured when first asked for, and kept. Not thread-safe.
class Profile {
 public:
  /// Of units [begin, end).
  using RunLatency = std::function<Nanoseconds(std::size_t begin, std::size_t end)>;

  /// All keep a reference to what they are made of: the graph must outlive the profile. Throw
  /// Error(kUnsupported) for one whose every run of depths would take minutes to look at: some
  /// thousand depths, or as many reads of tensors.
  [[nodiscard]] static Profile of_depths(const Graph& graph, const SegmentLatency& measure);
  [[nodiscard]] static Profile of_vendor_order(const Graph& graph, const SegmentLatency& measure);

  /// What the simulator says of a device. Knows what each segment takes at least: the fixed time
  /// and the computation.
  [[nodiscard]] static Profile simulated(const Graph& graph, const DeviceSpec& device);

  /// `at_least`, where given, is a time that no measurement of these units is below, and that grows
  /// with them; segments that it already rules out are not measured.
  Profile(std::vector<std::vector<OperatorId>> units, RunLatency measure, RunLatency at_least = {});

  [[nodiscard]] std::size_t size() const { return units_.size(); }
  [[nodiscard]] std::uint64_t measurements() const { return latencies_.size(); }

  /// Throws what the callable throws.
  [[nodiscard]] Nanoseconds latency(std::size_t begin, std::size_t end);
  [[nodiscard]] Nanoseconds at_least(std::size_t begin, std::size_t end) const {
    return at_least_ ? at_least_(begin, end) : Nanoseconds(0);
  }

  /// Operators of units [begin, end), in file order.
  [[nodiscard]] std::vector<OperatorId> operators(std::size_t begin, std::size_t end) const;

 private:
  std::vector<std::vector<OperatorId>> units_;
  RunLatency measure_;
  RunLatency at_least_;
  std::unordered_map<std::uint64_t, Nanoseconds> latencies_;  // by begin and end
};

/// What the simulator says of a segment on a device. The graph must outlive it.
[[nodiscard]] SegmentLatency simulated_latency(const Graph& graph, const DeviceSpec& device);

struct ProfiledSegmentation {
  Segmentation segmentation;
  Nanoseconds slowest{0};
  std::uint64_t measurements = 0;  // made for it; those known before are not counted
};

/// Choices of `count` segments of `units` units, C(units - 1, count - 1); the largest number where
/// it is larger.
[[nodiscard]] std::uint64_t count_choices(std::size_t units, std::size_t count);

/// All functions below throw Error(kInfeasible) when there are fewer units than `count`,
/// Error(kInvalidArgument) when `count` is 0.
///
/// Looks at every choice; the earliest cuts among equals. Throws Error(kInfeasible) naming the
/// number of choices when they are more than `limit`.
[[nodiscard]] ProfiledSegmentation segment_by_exhaustion(Profile& profile, std::size_t count,
                                                         std::uint64_t limit = 1'000'000);

/// The smallest latency of the slowest segment over every choice, without looking at every choice.
/// A dynamic program over the ends of segments, bounded by a choice found by bisection: a segment
/// is measured only when what comes before it, what must come behind it, and what it takes at least
/// are all below that. O(count * units^2).
[[nodiscard]] ProfiledSegmentation segment_profiled(Profile& profile, std::size_t count);

struct BisectionOptions {
  std::size_t search_step = 1;    // units given back when the rest does not fit
  Nanoseconds difference{1'000};  // ends when the target is known this closely
};

/// libcoral's procedure. The target lies between the fastest and the slowest segment of `initial`
/// (ends of segments, as Google's rule gives them) and is bisected: each segment takes as many
/// units as stay within it, and gives some back when the rest fails. Assumes that more units take
/// longer, which transfers do not promise: not exact.
[[nodiscard]] ProfiledSegmentation segment_by_bisection(Profile& profile,
                                                        std::span<const std::size_t> initial,
                                                        const BisectionOptions& options = {});

/// The ends of the segments that Google's rule cuts, in units of `Profile::of_vendor_order`.
[[nodiscard]] std::vector<std::size_t> vendor_ends(const Graph& graph, std::size_t count);

}  // namespace segue
