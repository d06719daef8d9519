/// Strategies side by side, the exact search behind the default one, and the check of its proof.
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

/// From the name of a strategy to a plan: what commands, sweeps and other languages ask for.
///
/// Each strategy is a function of its own header (segmentation.h, and segment_optimal); here are
/// their common form and their names. A new one needs nothing of this: any Segmentation becomes a
/// plan by make_plan (examples/custom_strategy.cc).
///
/// Thread-safety: pure functions.

/// What plan_by_strategy takes.
inline constexpr std::array kStrategies{Strategy::kCompiler, Strategy::kBalanced,
                                        Strategy::kProfile, Strategy::kOptimal};

/// One of kStrategies by its key. Throws Error(kInvalidArgument) naming all of them.
[[nodiscard]] Strategy parse_strategy(std::string_view name);

/// A plan, and how its cuts came about.
struct StrategyPlan {
  Plan plan;
  std::optional<BalancedSegmentation> balanced = std::nullopt;  // what refinement moved
  std::optional<ProfiledSegmentation> profiled = std::nullopt;  // what it cost
};

/// Cuts a model for these devices. All strategies but `kOptimal` give each device of the only pool
/// one segment; that one uses at most the devices of all pools, and `optimal` says what limits it.
/// On a host that several devices slow down (Timing::busy_stretch) it is the best of several
/// searches, each for a host at one pace, and its bound is that of full pace.
/// Throws as check_not_compiled, as the strategies do (Error(kInfeasible) where a model has fewer
/// cuts than there are devices, Error(kUnsupported) where an exact search would take minutes), and
/// Error(kInvalidArgument) for several pools.
[[nodiscard]] StrategyPlan plan_by_strategy(const Graph& graph, std::span<const DevicePool> pools,
                                            Strategy strategy, const OptimalOptions& optimal = {});

/// Plans of one graph on one kind of device, which share what is computed of them: the ideals of
/// the graph, the times of segments. Thread-safe; each plan is that of plan_by_strategy. The graph
/// must outlive it.
class StrategyPlanner {
 public:
  /// For at most `most_devices` devices, which may share a link (DevicePool).
  StrategyPlanner(const Graph& graph, const DeviceSpec& device, std::uint32_t most_devices,
                  bool shares_link = false);
  StrategyPlanner(StrategyPlanner&& other) noexcept;
  StrategyPlanner& operator=(StrategyPlanner&& other) noexcept;
  ~StrategyPlanner();

  /// Throws as plan_by_strategy, and Error(kInvalidArgument) for more devices than it was made for.
  [[nodiscard]] StrategyPlan plan(std::uint32_t count, Strategy strategy,
                                  const OptimalOptions& optimal = {}) const;

 private:
  class Shared;
  std::unique_ptr<Shared> shared_;
};

/// A plan made for up to `tpus` devices, as one row of a comparison.
struct ComparedPlan {
  std::uint32_t tpus = 0;
  Plan plan;
};

/// A comparison of more would take hours, and no card has as many.
inline constexpr std::uint32_t kMostComparedTpus = 64;

/// How much is done of a whole.
using ProgressFunction = std::function<void(std::uint64_t done, std::uint64_t all)>;

struct CompareOptions {
  std::uint32_t max_replicas = 0;       // of `kOptimal`
  bool shares_link = false;             // as DevicePool
  std::uint32_t threads = 0;            // 0: one per core; the rows are the same
  ProgressFunction progress = nullptr;  // called after each plan, on the calling thread
};

/// Every strategy on `first` to `last` equal devices, within 1 to `kMostComparedTpus`, by number of
/// devices, then as kStrategies stands. Where a model has no such cuts, or is too large for an
/// exact search, there is no row. Throws Error(kInvalidArgument) for other numbers.
[[nodiscard]] std::vector<ComparedPlan> compare_strategies(const Graph& graph,
                                                           const DeviceSpec& device,
                                                           std::uint32_t first, std::uint32_t last,
                                                           const CompareOptions& options = {});

/// Whether no other row is better in throughput, latency or TPUs used without being worse in
/// another of them: the Pareto front.
[[nodiscard]] bool is_on_front(const ComparedPlan& row, std::span<const ComparedPlan> rows);

/// An independent check of a plan that claims to be the best.
///
/// A certificate is the plan's `bound`: a value, the limits it holds for, and whether the plan
/// reaches it. The checker shares nothing with the planner but the times of single segments: it
/// lists the ideals of the graph itself, asks the simulated compiler and the simulator for every
/// segment that the work in it does not rule out, and looks for a pipeline below the bound by a
/// plain dynamic program without the planner's bounds. Short instead of fast: up to a second for
/// ResNets, about a minute for InceptionV4.
///
/// Thread-safety: a pure function.

struct CertificateVerdict {
  bool is_accepted = false;
  std::string reason;          // what was checked, or what is wrong
  std::size_t ideals = 0;      // of the graph; 0 where they were not needed
  std::uint64_t segments = 0;  // whose times were computed
};

/// How far the checker goes, so that nobody waits for hours for a proof made to take them.
struct CertificateLimits {
  std::size_t ideals = 6000;
  /// Operators looked at, 20 times that many in a segment that is timed, and pairs of partial
  /// pipelines compared: some minutes. InceptionV4 takes half of it.
  std::uint64_t work = 20'000'000'000;
};

/// Accepts when the plan's numbers are those of its stages on these devices, it keeps the limits of
/// its bound, and no pipeline within them is below the bound. For a graph of more ideals than the
/// limit, none of a relaxed problem is: where the graph is widest, a cut may have any amount of the
/// work there before it, and what crosses it costs nothing. O(ideals^2) segments. Throws as
/// make_plan, and Error(kUnsupported) where neither that nor the work of all operators decides, or
/// looking takes more work than the limit.
[[nodiscard]] CertificateVerdict check_certificate(const Plan& plan, const Graph& graph,
                                                   std::span<const DevicePool> pools,
                                                   const CertificateLimits& limits = {});

}  // namespace segue
