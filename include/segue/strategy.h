/// From the name of a strategy to a plan: what commands, sweeps and other languages ask for.
///
/// Each strategy is a function of its own header (segmentation.h, profile.h, optimal.h); here are
/// their common form and their names. A new one needs nothing of this: any Segmentation becomes a
/// plan by make_plan (examples/custom_strategy.cc).
///
/// Thread-safety: pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "segue/device.h"
#include "segue/graph.h"
#include "segue/optimal.h"
#include "segue/plan.h"
#include "segue/profile.h"
#include "segue/segmentation.h"

namespace [[gnu::visibility("default")]] segue {

enum class Strategy {
  kCompiler,  // Segm_Comp: what edgetpu_compiler --num_segments does
  kBalanced,  // Segm_Balanced: the smallest largest segment, then nothing streams
  kProfile,   // Segm_Prof: the best horizontal cuts by simulated times
  kOptimal    // stages and replicas, proven best in time
};
inline constexpr std::array kStrategies{Strategy::kCompiler, Strategy::kBalanced,
                                        Strategy::kProfile, Strategy::kOptimal};

/// "compiler", "balanced", "profile", "optimal".
[[nodiscard]] std::string_view to_string(Strategy strategy);
/// Throws Error(kInvalidArgument) naming all of them.
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

}  // namespace segue
