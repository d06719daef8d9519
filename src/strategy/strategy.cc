#include "segue/strategy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "plan/limits.h"
#include "segue/compiler.h"
#include "segue/error.h"
#include "segue/model.h"
#include "strategy/no_plan.h"

namespace segue {
namespace {

Plan optimal_plan(const Graph& graph, std::span<const DevicePool> pools,
                  const OptimalOptions& options) {
  const OptimalSegmentation best = segment_optimal(graph, pools, options);
  Plan plan = make_plan(graph, best.segmentation, pools, "optimal", best.devices);
  if (options.objective == Objective::kLatency) plan.objective = "latency";
  plan.bound = best.bound;
  // Times on the host are estimates: what rests on them is no proof.
  plan.bound->is_proven = is_reached(*plan.bound, plan);
  return plan;
}

// One segment for each device of a pool.
Segmentation even_cut(const Graph& graph, const DevicePool& pool, Strategy strategy,
                      std::optional<Profile>& profile, StrategyPlan& result) {
  if (strategy == Strategy::kCompiler) return segment_as_vendor(graph, pool.count);
  if (strategy == Strategy::kBalanced) {
    result.balanced = segment_balanced(graph, pool.count, *make_simulated_compiler(pool.device));
    return result.balanced->segmentation;
  }
  if (!profile) profile = Profile::simulated(graph, pool.device);
  result.profiled = segment_profiled(*profile, pool.count);
  return result.profiled->segmentation;
}

}  // namespace

std::string_view to_string(Strategy strategy) {
  switch (strategy) {
    case Strategy::kCompiler:
      return "compiler";
    case Strategy::kBalanced:
      return "balanced";
    case Strategy::kProfile:
      return "profile";
    case Strategy::kOptimal:
      return "optimal";
  }
  throw Error(ErrorCode::kInternal, "a strategy without a name");
}

Strategy parse_strategy(std::string_view name) {
  const auto* const found =
      std::ranges::find(kStrategies, name, [](Strategy strategy) { return to_string(strategy); });
  if (found != kStrategies.end()) return *found;
  std::vector<std::string_view> known;
  known.reserve(kStrategies.size());
  for (const Strategy strategy : kStrategies) known.push_back(to_string(strategy));
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("strategy '{}': there are {}", name, fmt::join(known, ", ")));
}

StrategyPlan plan_by_strategy(const Graph& graph, std::span<const DevicePool> pools,
                              Strategy strategy, const OptimalOptions& optimal,
                              std::optional<Profile>* profile) {
  check_not_compiled(graph.model());
  check_runs_on_device(graph.model());
  if (strategy == Strategy::kOptimal) return {optimal_plan(graph, pools, optimal)};
  if (pools.size() != 1) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("strategy {} cuts for equal devices; strategy optimal plans for unequal ones",
                    to_string(strategy)));
  }
  StrategyPlan result;
  std::optional<Profile> own;
  const Segmentation cuts =
      even_cut(graph, pools[0], strategy, profile != nullptr ? *profile : own, result);
  const std::vector<PoolCounts> devices(cuts.segments.size(), PoolCounts{1});
  result.plan = make_plan(graph, cuts, pools, std::string(to_string(strategy)), devices);
  return result;
}

std::vector<ComparedPlan> compare_strategies(const Graph& graph, const DeviceSpec& device,
                                             std::uint32_t first, std::uint32_t last,
                                             std::uint32_t max_replicas) {
  if (first == 0 || last < first || last > kMostComparedTpus) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} to {} TPUs: comparisons are within 1 to {}", first, last,
                            kMostComparedTpus));
  }
  check_runs_on_device(graph.model());
  std::vector<ComparedPlan> rows;
  std::optional<Profile> profile;
  for (std::uint32_t tpus = first; tpus <= last; ++tpus) {
    const DevicePool pool{device, tpus};
    for (const Strategy strategy : kStrategies) {
      try {
        rows.push_back({tpus, plan_by_strategy(graph, {&pool, 1}, strategy,
                                               {.max_replicas = max_replicas}, &profile)
                                  .plan});
      } catch (const Error& error) {
        if (!means_no_plan(error)) throw;
      }
    }
  }
  return rows;
}

bool is_on_front(const ComparedPlan& row, std::span<const ComparedPlan> rows) {
  return std::ranges::none_of(rows, [&](const ComparedPlan& other) {
    const Prediction& a = other.plan.predicted;
    const Prediction& b = row.plan.predicted;
    const std::uint32_t ours = row.plan.device_count();
    const std::uint32_t theirs = other.plan.device_count();
    const bool is_no_worse =
        a.bottleneck <= b.bottleneck && a.latency <= b.latency && theirs <= ours;
    return is_no_worse && (a.bottleneck < b.bottleneck || a.latency < b.latency || theirs < ours);
  });
}

}  // namespace segue
