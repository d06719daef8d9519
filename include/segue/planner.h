/// Plans by strategy, the exact search, comparisons of strategies, and the check of proofs.
///
/// `plan_by_strategy` turns a graph and a set of devices into a Plan. `segment_optimal` is the
/// exact search behind Strategy::kOptimal. `check_certificate` verifies the claim of such a plan
/// with an independent algorithm. A custom strategy needs none of these: `make_plan` (plan.h)
/// accepts any Segmentation (examples/custom_strategy.cc).
///
/// Example:
///
///     const segue::Model model = segue::read_model("resnet101.tflite");
///     const segue::Graph graph(model);
///     const auto tpus = segue::open_devices("edgetpu-pcie", 4);
///     const segue::Plan plan =
///         segue::plan_by_strategy(graph, tpus, segue::Strategy::kOptimal).plan;
///     std::printf("%.1f inferences/s\n", plan.predicted.throughput_per_s);
///
/// All times are simulated (cost.h). docs/segmentation.md explains the strategies and their
/// results.
///
/// Long searches end early on request (stop.h).
///
/// Thread-safety: all functions are pure. Planners may be used from several threads. Results are
/// deterministic and do not depend on the number of threads.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "segue/device.h"
#include "segue/graph.h"
#include "segue/plan.h"
#include "segue/segmentation.h"
#include "segue/units.h"

namespace [[gnu::visibility("default")]] segue {

// --- Exact search (strategy "optimal")
//
// The search finds stages and replicas on given devices with the smallest bottleneck over all
// convex segmentations of the graph, under the simulator's times: computation, transfers,
// streaming, fixed costs, and time on links that several devices share. Candidates are all chains
// of order ideals (sets that contain with an operator all its predecessors), not only horizontal
// cuts or one topological order. CNNs have few ideals (ResNet152 224, InceptionV4 2237), so the
// search over all of them takes milliseconds on equal devices.
//
// For a bottleneck T, a dynamic program from larger to smaller ideals computes the devices that the
// operators outside an ideal need. T is bisected and moves to realisable values. With shared links,
// a latency limit or unequal devices, the resources of a chain of stages (devices of each pool,
// time on each shared link, latency, number of stages) are kept in labels, without dominated ones.
// Pairs of ideals whose work or parameters exceed what the devices can hold are pruned.
//
// Sources: J. Tarnawski et al., "Efficient algorithms for device placement of DNN graph operators"
// (NeurIPS 2020), dynamic program over ideals; A. Pinar, C. Aykanat, "Fast optimal load balancing
// algorithms for 1D partitioning" (JPDC 64, 2004). Streaming is a cost here, not a limit.

/// Objective and limits of the exact search.
struct OptimalOptions {
  std::uint32_t max_replicas = 0;  // per stage; 1: a pure pipeline; 0: no limit
  Objective objective = Objective::kThroughput;
  std::optional<Nanoseconds> max_latency = std::nullopt;  // of one input
};

/// The result of the exact search.
struct OptimalSegmentation {
  Segmentation segmentation;
  std::vector<PoolCounts> devices;  // of each segment
  Nanoseconds bottleneck{0};        // time between two results
  Nanoseconds latency{0};           // of one input
  Bound bound;                      // lower bound of the objective
  std::size_t ideals = 0;           // number of ideals in the search
};

/// Returns the best segmentation that uses at most the devices of the pools. A stage may run on
/// devices of several pools: each device receives inputs in proportion to its speed, and the
/// latency is that of the slowest. If the devices of a pool share a link, the total time that all
/// stages spend on it per input is a lower limit of the bottleneck.
///
/// Ties: fewer devices (of all pools), then fewer stages, then fewer host bytes, then earlier cuts.
/// A search that is not complete (below) settles ties among the candidates that it has.
///
/// Three kinds of input are not searched completely. `bound.is_proven` tells whether the result is
/// optimal nevertheless:
///  - More than 6,000 ideals (NASNet, YOLO). The search runs along the orders by depth, by file and
///    of Google's rule (so that no other strategy is better), over all ideals outside the widest
///    parts of the graph, and at first cuts proposed by minimum cuts. The bound is the optimum of a
///    relaxed problem: in a wide part, a cut may have any amount of its work before it, and tensors
///    that cross it cost nothing.
///  - Large graphs (twice the operators plus the depths above 6,000). On equal devices the search
///    runs along the same orders, one by one, with a bound of the same kind. Chains are solved
///    exactly.
///  - Searches of more than some seconds. A few horizontal cuts are evaluated, with a bound that is
///    not reached.
///
/// Throws Error(kUnsupported) when even these take too long; Error(kInvalidArgument) for no
/// devices, more than 8 pools, or several pools with more than kMostDeviceChoices choices;
/// Error(kInfeasible) with the smallest possible latency when no plan satisfies `max_latency`.
[[nodiscard]] OptimalSegmentation segment_optimal(const Graph& graph,
                                                  std::span<const DevicePool> pools,
                                                  const OptimalOptions& options = {});

/// The same on `count` equal devices that share no link.
[[nodiscard]] OptimalSegmentation segment_optimal(const Graph& graph, const DeviceSpec& device,
                                                  std::uint32_t count,
                                                  const OptimalOptions& options = {});

/// Repeated exact searches of one graph on one kind of device. It keeps the ideals and stage times,
/// which it computes on first use. Each result equals that of segment_optimal. Thread-safe. The
/// graph must outlive it.
class OptimalPlanner {
 public:
  /// Prepares searches for up to `most_devices` devices. `shares_link`: as in DevicePool.
  OptimalPlanner(const Graph& graph, const DeviceSpec& device, std::uint32_t most_devices,
                 bool shares_link = false);
  OptimalPlanner(OptimalPlanner&& other) noexcept;
  OptimalPlanner& operator=(OptimalPlanner&& other) noexcept;
  ~OptimalPlanner();

  /// Searches for `count` devices. Throws Error(kInvalidArgument) for more than `most_devices`, and
  /// as segment_optimal.
  [[nodiscard]] OptimalSegmentation segment(std::uint32_t count,
                                            const OptimalOptions& options = {}) const;

 private:
  class Shared;
  std::unique_ptr<Shared> shared_;
};

// --- Strategies by name

/// The strategies that plan_by_strategy accepts: all of Strategy (plan.h) except kManual.
inline constexpr std::array kStrategies{Strategy::kCompiler, Strategy::kBalanced,
                                        Strategy::kProfile, Strategy::kOptimal};

/// Returns the strategy of kStrategies with this key. Throws Error(kInvalidArgument) with all keys.
[[nodiscard]] Strategy parse_strategy(std::string_view name);

/// A plan with the details of the strategy that made it.
struct StrategyPlan {
  Plan plan;
  std::optional<BalancedSegmentation> balanced = std::nullopt;  // kBalanced: cuts and moves
  std::optional<ProfiledSegmentation> profiled = std::nullopt;  // kProfile: measurements
};

/// Plans a model on the given devices. kOptimal uses at most the devices of all pools, under the
/// limits of `optimal`. The other strategies give each device of a single pool one segment and
/// ignore `optimal`.
///
/// If the host slows down with several devices (Timing::busy_stretch), kOptimal returns the best of
/// several searches, each for a host of constant speed. Its bound is that of a host at full speed
/// (docs/cost-model.md, "A busy host").
///
/// Throws as check_can_be_planned and as the strategies: Error(kInfeasible) when a model cannot be
/// divided into so many segments, Error(kUnsupported) when an exact search would take minutes.
/// Throws Error(kInvalidArgument) for several pools with a strategy other than kOptimal.
[[nodiscard]] StrategyPlan plan_by_strategy(const Graph& graph, std::span<const DevicePool> pools,
                                            Strategy strategy, const OptimalOptions& optimal = {});

/// Repeated planning of one graph on one kind of device. It keeps ideals and segment times between
/// calls. Each plan equals that of plan_by_strategy. Thread-safe. The graph must outlive it.
class StrategyPlanner {
 public:
  /// Prepares plans for up to `most_devices` devices. `shares_link`: as in DevicePool.
  StrategyPlanner(const Graph& graph, const DeviceSpec& device, std::uint32_t most_devices,
                  bool shares_link = false);
  StrategyPlanner(StrategyPlanner&& other) noexcept;
  StrategyPlanner& operator=(StrategyPlanner&& other) noexcept;
  ~StrategyPlanner();

  /// Plans for `count` devices. Throws as plan_by_strategy, and Error(kInvalidArgument) for more
  /// than `most_devices` with kOptimal.
  [[nodiscard]] StrategyPlan plan(std::uint32_t count, Strategy strategy,
                                  const OptimalOptions& optimal = {}) const;

 private:
  class Shared;
  std::unique_ptr<Shared> shared_;
};

// --- Comparison of strategies

/// One row of a comparison: a plan for at most `tpus` devices.
struct ComparedPlan {
  std::uint32_t tpus = 0;
  Plan plan;
};

/// The largest number of devices in a comparison. More would take hours, and no card has as many.
inline constexpr std::uint32_t kMostComparedTpus = 64;

/// Receives the number of completed steps and of all steps.
using ProgressFunction = std::function<void(std::uint64_t done, std::uint64_t all)>;

/// Settings of a comparison.
struct CompareOptions {
  std::uint32_t max_replicas = 0;       // for kOptimal, as in OptimalOptions
  bool shares_link = false;             // as in DevicePool
  std::uint32_t threads = 0;            // 0: one per core; does not change the rows
  ProgressFunction progress = nullptr;  // called after each plan, on the calling thread
};

/// Plans with every strategy on `first` to `last` equal devices. Rows are ordered by number of
/// devices, then as in kStrategies. A combination without a plan, because the model has too few
/// operators or depths or is too large for an exact search, has no row. Throws
/// Error(kInvalidArgument) unless 1 <= first <= last <= kMostComparedTpus, and as
/// check_can_be_planned.
[[nodiscard]] std::vector<ComparedPlan> compare_strategies(const Graph& graph,
                                                           const DeviceSpec& device,
                                                           std::uint32_t first, std::uint32_t last,
                                                           const CompareOptions& options = {});

/// Returns whether a row is on the Pareto front of throughput, latency and TPUs used: no other row
/// is at least as good in all three and better in one. O(rows).
[[nodiscard]] bool is_on_front(const ComparedPlan& row, std::span<const ComparedPlan> rows);

// --- Verification of proofs
//
// The certificate of a plan is its `bound`: a value, the limits under which it holds, and whether
// the plan reaches it. The checker shares only the times of single segments with the planner. It
// enumerates the ideals of the graph itself, asks the simulated compiler and the simulator for
// every segment that its work does not rule out, and searches for a pipeline below the bound with a
// plain dynamic program. It is short rather than fast: up to a second for ResNets, about a minute
// for InceptionV4.

/// The result of a check.
struct CertificateVerdict {
  bool is_accepted = false;
  std::string reason;          // what was checked, or what is wrong
  std::size_t ideals = 0;      // of the graph; 0 if they were not needed
  std::uint64_t segments = 0;  // segments whose times were computed
};

/// Limits of the checker's work. They prevent a crafted plan from keeping it busy for hours.
struct CertificateLimits {
  std::size_t ideals = 6000;  // above, a relaxed problem is searched
  /// One unit for each operator visited, 20 for each operator of a segment that is timed, and one
  /// for each pair of partial pipelines compared. The default is some minutes; InceptionV4 needs
  /// half.
  std::uint64_t work = 20'000'000'000;
};

/// Accepts a plan if its numbers follow from its stages on these devices, it satisfies the limits
/// of its bound, and no pipeline within these limits is below the bound. For a graph with more
/// ideals than `limits.ideals`, the last condition is checked for a relaxed problem: where the
/// graph is widest, a cut may have any amount of the work there before it, and tensors that cross
/// it cost nothing. A plan without a bound is rejected. O(ideals^2) segments.
///
/// Throws as make_plan, Error(kInvalidArgument) for pools with more than kMostDeviceChoices
/// choices, and Error(kUnsupported) when neither the search nor the sum of all work decides, or
/// when the work exceeds the limit.
[[nodiscard]] CertificateVerdict check_certificate(const Plan& plan, const Graph& graph,
                                                   std::span<const DevicePool> pools,
                                                   const CertificateLimits& limits = {});

}  // namespace segue
