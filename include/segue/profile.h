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
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <unordered_map>
#include <vector>

#include "segue/device.h"
#include "segue/graph.h"
#include "segue/segmentation.h"
#include "segue/units.h"

namespace [[gnu::visibility("default")]] segue {

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
