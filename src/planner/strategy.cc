#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <utility>

#include "plan/internal/pipeline_pace.h"
#include "plan/internal/prediction.h"
#include "planner/no_plan.h"
#include "planner/ordered_work.h"
#include "planner/planning_cache.h"
#include "segue/cost.h"
#include "segue/error.h"
#include "segue/model.h"
#include "segue/planner.h"

namespace segue {
namespace {

Plan optimal_plan(const Graph& graph, std::span<const DevicePool> pools,
                  const OptimalOptions& options, const OptimalSegmentation& best) {
  Plan plan = make_plan(graph, best.segmentation, pools, Strategy::kOptimal, best.devices);
  plan.objective = options.objective;
  plan.bound = best.bound;
  // Times on the host are estimates, so a bound that depends on them proves nothing.
  plan.bound->is_proven = is_reached(*plan.bound, plan);
  return plan;
}

// Returns the pools with a host that always takes `stretch` times as long for its share of outputs.
std::vector<DevicePool> with_slow_outputs(std::span<const DevicePool> pools, double stretch) {
  std::vector<DevicePool> result(pools.begin(), pools.end());
  for (DevicePool& pool : result) pool.device.timing.output_ns_per_byte.value *= stretch;
  return result;
}

// The searches assume a host of constant speed. If the host slows down with several devices,
// further candidates are the optimum at its slowest speed, at its speed for the plan found, and on
// one device. The bound is that of full speed.
Plan best_on_busy_host(const Graph& graph, std::span<const DevicePool> pools,
                       const OptimalOptions& options, Plan best) {
  const double most = host_pace(pools).most_stretch;
  if (most <= 1 || options.objective != Objective::kThroughput) return best;
  const auto consider = [&](const OptimalSegmentation& found) {
    Plan plan = optimal_plan(graph, pools, options, found);
    const bool is_quick = !options.max_latency || plan.predicted.latency <= *options.max_latency;
    const auto rank = [](const Plan& one) {
      return std::pair(one.predicted.bottleneck, one.device_count());
    };
    if (!is_quick || rank(plan) >= rank(best)) return;
    plan.bound = best.bound;
    plan.bound->is_proven = is_reached(*plan.bound, plan);
    best = std::move(plan);
  };
  OptimalOptions candidates = options;
  candidates.max_latency.reset();
  const double stretch = host_stretch(best.stages, pools);
  consider(segment_optimal(graph, with_slow_outputs(pools, most), candidates));
  if (stretch > 1 && stretch < most)
    consider(segment_optimal(graph, with_slow_outputs(pools, stretch), candidates));
  if (pools.size() == 1) consider(segment_optimal(graph, pools[0].device, 1, candidates));
  return best;
}

// Returns the plan of one segment for each device.
Plan one_device_each(const StrategyTask& task, const Segmentation& cuts, Strategy strategy) {
  const std::vector<PoolCounts> devices(cuts.segments.size(), PoolCounts{1});
  return make_plan(task.graph, cuts, task.pools, strategy, devices);
}

StrategyPlan by_compiler_rule(const StrategyTask& task) {
  const std::uint32_t count = task.pools[0].count;
  return {one_device_each(task, segment_as_vendor(task.graph, count), Strategy::kCompiler)};
}

StrategyPlan by_balance(const StrategyTask& task) {
  const DevicePool& pool = task.pools[0];
  StrategyPlan result;
  result.balanced = segment_balanced(task.graph, pool.count, *make_simulated_compiler(pool.device));
  result.plan = one_device_each(task, result.balanced->segmentation, Strategy::kBalanced);
  return result;
}

StrategyPlan by_profile(const StrategyTask& task) {
  StrategyPlan result;
  result.profiled = task.cache.profiled(task.pools[0].count);
  result.plan = one_device_each(task, result.profiled->segmentation, Strategy::kProfile);
  return result;
}

StrategyPlan by_exact_search(const StrategyTask& task) {
  const OptimalSegmentation best = task.cache.optimal(task.pools, task.limits);
  return {best_on_busy_host(task.graph, task.pools, task.limits,
                            optimal_plan(task.graph, task.pools, task.limits, best))};
}

// Throws as check_can_be_planned if no kind of device runs any operator.
void check_any_can_plan(const StrategyTask& task) {
  const Model& model = task.graph.model();
  for (const DevicePool& pool : task.pools.subspan(1)) {
    for (std::size_t i = 0; i < model.operators().size(); ++i) {
      if (!pool.device.model->supports(model, operator_id(i))) continue;
      check_not_compiled(model);
      return check_static_shapes(model);
    }
  }
  check_can_be_planned(model, task.pools[0].device);
}

StrategyPlan plan_with(const StrategyTask& task, const StrategyRow& strategy) {
  check_any_can_plan(task);
  if (task.pools.size() > 1 && !strategy.takes_limits) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format(
            "strategy {} supports only equal devices; use strategy optimal for unequal ones",
            strategy.key));
  }
  StrategyPlan result = strategy.plan(task);
  result.plan.strategy = strategy.strategy;
  if (strategy.strategy == Strategy::kCustom) result.plan.custom_strategy = strategy.key;
  return result;
}

const StrategyRow& row_of(Strategy strategy) {
  const auto rows = strategy_table();
  const auto found = std::ranges::find(rows, strategy, &StrategyRow::strategy);
  if (found != rows.end()) return *found;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("strategy '{}' has no planner", to_string(strategy)));
}

}  // namespace

PlanningCache::PlanningCache(const Graph& graph, std::span<const DevicePool> pools)
    : graph_(graph), first_(pools[0]) {
  if (pools.size() == 1) planner_.emplace(graph, first_.device, first_.count, first_.shares_link);
}

OptimalSegmentation PlanningCache::optimal(std::span<const DevicePool> pools,
                                           const OptimalOptions& limits) const {
  return planner_ ? planner_->segment(pools[0].count, limits)
                  : segment_optimal(graph_, pools, limits);
}

ProfiledSegmentation PlanningCache::profiled(std::uint32_t count) {
  const std::scoped_lock lock(profile_mutex_);
  if (!profile_) profile_ = Profile::simulated(graph_, first_.device);
  return segment_profiled(*profile_, count);
}

StrategyPlan PlanningCache::plan(std::uint32_t count, const StrategyRow& strategy,
                                 const OptimalOptions& limits) {
  const DevicePool pool{first_.device, count, first_.shares_link && count > 1};
  return plan_with({graph_, {&pool, 1}, strategy.takes_limits ? limits : OptimalOptions(), *this},
                   strategy);
}

std::span<const StrategyRow> strategy_table() {
  // Keys come from kStrategyNames, so that options and plan.json agree.
  const auto row = [](Strategy strategy, std::string_view title, bool takes_limits, auto planner) {
    return StrategyRow{to_string(strategy), title, strategy, takes_limits, planner};
  };
  static const std::array rows{
      row(Strategy::kCompiler,
          "the cuts of edgetpu_compiler --num_segments, which itself crashes on models of current "
          "converters",
          false, by_compiler_rule),
      row(Strategy::kBalanced, "Segm_Balanced of the paper", false, by_balance),
      row(Strategy::kProfile, "best horizontal cuts by profiled times", false, by_profile),
      row(Strategy::kOptimal, "stages and replicas with the best objective, with a proven bound",
          true, by_exact_search)};
  return rows;
}

const StrategyRow& find_strategy(std::string_view key, std::span<const StrategyRow> table) {
  const auto found = std::ranges::find(table, key, &StrategyRow::key);
  if (found != table.end()) return *found;
  std::vector<std::string_view> known;
  for (const StrategyRow& row : table) known.push_back(row.key);
  throw Error(ErrorCode::kInvalidArgument, fmt::format("unknown strategy '{}' (expected one of {})",
                                                       key, fmt::join(known, ", ")));
}

StrategyPlanner::StrategyPlanner(const Graph& graph, const DeviceSpec& device,
                                 std::uint32_t most_devices, bool shares_link) {
  const DevicePool most{device, most_devices, shares_link};
  cache_ = std::make_unique<PlanningCache>(graph, std::span(&most, 1));
}
StrategyPlanner::StrategyPlanner(StrategyPlanner&& other) noexcept = default;
StrategyPlanner& StrategyPlanner::operator=(StrategyPlanner&& other) noexcept = default;
StrategyPlanner::~StrategyPlanner() = default;

StrategyPlan StrategyPlanner::plan(std::uint32_t count, const StrategyRow& strategy,
                                   const OptimalOptions& limits) const {
  return cache_->plan(count, strategy, limits);
}

StrategyPlan StrategyPlanner::plan(std::uint32_t count, Strategy strategy,
                                   const OptimalOptions& limits) const {
  return plan(count, row_of(strategy), limits);
}

StrategyPlan plan_by_strategy(const Graph& graph, std::span<const DevicePool> pools,
                              const StrategyRow& strategy, const OptimalOptions& limits) {
  if (pools.empty()) throw Error(ErrorCode::kInvalidArgument, "no devices given");
  PlanningCache cache(graph, pools);
  return plan_with({graph, pools, strategy.takes_limits ? limits : OptimalOptions(), cache},
                   strategy);
}

StrategyPlan plan_by_strategy(const Graph& graph, std::span<const DevicePool> pools,
                              Strategy strategy, const OptimalOptions& limits) {
  return plan_by_strategy(graph, pools, row_of(strategy), limits);
}

std::vector<ComparedPlan> compare_strategies(const Graph& graph, const DeviceSpec& device,
                                             std::uint32_t first, std::uint32_t last,
                                             const CompareOptions& options) {
  if (first == 0 || last < first || last > kMostComparedTpus) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} to {} TPUs: a comparison supports 1 to {}", first, last,
                            kMostComparedTpus));
  }
  check_can_be_planned(graph.model(), device);
  const StrategyPlanner planner(graph, device, last, options.shares_link);
  const auto strategies = options.strategies;
  const std::size_t plans = (last - first + 1) * strategies.size();
  std::vector<ComparedPlan> rows;
  run_in_order(
      plans, options.threads,
      [&](std::size_t i) -> std::optional<ComparedPlan> {
        const std::uint32_t tpus = first + static_cast<std::uint32_t>(i / strategies.size());
        try {
          Plan plan = planner
                          .plan(tpus, strategies[i % strategies.size()],
                                {.max_replicas = options.max_replicas})
                          .plan;
          if (!options.decoding) return ComparedPlan{tpus, std::move(plan)};
          const DevicePool pool{device, tpus, options.shares_link && tpus > 1};
          return ComparedPlan{tpus, with_decoding(std::move(plan), *options.decoding, {&pool, 1})};
        } catch (const Error& error) {
          if (!means_no_plan(error)) throw;
          return std::nullopt;
        }
      },
      [&](std::size_t i, std::optional<ComparedPlan> row) {
        if (row) rows.push_back(std::move(*row));
        if (options.progress) options.progress(i + 1, plans);
      });
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
