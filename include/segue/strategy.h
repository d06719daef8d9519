/// From the name of a strategy to a plan: what commands, sweeps and other languages ask for.
///
/// Each strategy is a function of its own header (segmentation.h, profile.h, optimal.h); here are
/// their common form and their names. A new one needs nothing of this: any Segmentation becomes a
/// plan by make_plan (examples/custom_strategy.cc).
///
/// Thread-safety: pure functions, but for the Profile that is kept.
#pragma once

#include <array>
#include <cstdint>
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
/// `profile`: where one is kept for the next call with the same graph and device, so that what it
/// knows is computed once; made when it is first needed. Throws as check_not_compiled, as the
/// strategies do (Error(kInfeasible) where a model has fewer cuts than there are devices,
/// Error(kUnsupported) where an exact search would take minutes), and Error(kInvalidArgument) for
/// several pools.
[[nodiscard]] StrategyPlan plan_by_strategy(const Graph& graph, std::span<const DevicePool> pools,
                                            Strategy strategy, const OptimalOptions& optimal = {},
                                            std::optional<Profile>* profile = nullptr);

/// A plan made for up to `tpus` devices, as one row of a comparison.
struct ComparedPlan {
  std::uint32_t tpus = 0;
  Plan plan;
};

/// A comparison of more would take hours, and no card has as many.
inline constexpr std::uint32_t kMostComparedTpus = 64;

/// Every strategy on `first` to `last` equal devices, within 1 to `kMostComparedTpus`, by number of
/// devices, then as kStrategies stands. Where a model has no such cuts, or is too large for an
/// exact search, there is no row. `max_replicas`: of `kOptimal`. Throws Error(kInvalidArgument) for
/// other numbers.
[[nodiscard]] std::vector<ComparedPlan> compare_strategies(const Graph& graph,
                                                           const DeviceSpec& device,
                                                           std::uint32_t first, std::uint32_t last,
                                                           std::uint32_t max_replicas = 0);

/// Whether no other row is better in throughput, latency or TPUs used without being worse in
/// another of them: the Pareto front.
[[nodiscard]] bool is_on_front(const ComparedPlan& row, std::span<const ComparedPlan> rows);

}  // namespace segue
