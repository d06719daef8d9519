#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include "plan/host_pace.h"
#include "plan/limits.h"
#include "plan/prediction.h"
#include "planner/no_plan.h"
#include "planner/ordered_work.h"
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

}  // namespace

// Planning on one kind of device.
class StrategyPlanning {
 public:
  StrategyPlanning(const Graph& graph, const DeviceSpec& device, std::uint32_t most_devices,
                   bool shares_link)
      : graph_(graph),
        device_(device),
        optimal_(graph, device, most_devices, shares_link),
        shares_link_(shares_link) {}

  [[nodiscard]] StrategyPlan plan(std::uint32_t count, Strategy strategy,
                                  const OptimalOptions& options) {
    check_can_be_planned(graph_.model());
    const DevicePool pool{device_, count, shares_link_ && count > 1};
    const std::span pools(&pool, 1);
    if (strategy == Strategy::kOptimal)
      return {best_on_busy_host(
          graph_, pools, options,
          optimal_plan(graph_, pools, options, optimal_.segment(count, options)))};
    StrategyPlan result;
    const Segmentation cuts = even_cut(count, strategy, result);
    const std::vector<PoolCounts> devices(cuts.segments.size(), PoolCounts{1});
    result.plan = make_plan(graph_, cuts, pools, strategy, devices);
    return result;
  }

 private:
  // Returns one segment for each device.
  Segmentation even_cut(std::uint32_t count, Strategy strategy, StrategyPlan& result) {
    if (strategy == Strategy::kCompiler) return segment_as_vendor(graph_, count);
    if (strategy == Strategy::kBalanced) {
      result.balanced = segment_balanced(graph_, count, *make_simulated_compiler(device_));
      return result.balanced->segmentation;
    }
    const std::scoped_lock lock(profile_mutex_);
    if (!profile_) profile_ = Profile::simulated(graph_, device_);
    result.profiled = segment_profiled(*profile_, count);
    return result.profiled->segmentation;
  }

  const Graph& graph_;
  DeviceSpec device_;
  OptimalPlanner optimal_;
  bool shares_link_;
  std::mutex profile_mutex_;
  std::optional<Profile> profile_;
};

Strategy parse_strategy(std::string_view name) {
  const auto* const found =
      std::ranges::find(kStrategies, name, [](Strategy strategy) { return to_string(strategy); });
  if (found != kStrategies.end()) return *found;
  std::vector<std::string_view> known;
  known.reserve(kStrategies.size());
  for (const Strategy strategy : kStrategies) known.push_back(to_string(strategy));
  throw Error(ErrorCode::kInvalidArgument, fmt::format("unknown strategy '{}' (expected one of {})",
                                                       name, fmt::join(known, ", ")));
}

class StrategyPlanner::Shared : public StrategyPlanning {
 public:
  using StrategyPlanning::StrategyPlanning;
};

StrategyPlanner::StrategyPlanner(const Graph& graph, const DeviceSpec& device,
                                 std::uint32_t most_devices, bool shares_link)
    : shared_(std::make_unique<Shared>(graph, device, most_devices, shares_link)) {}
StrategyPlanner::StrategyPlanner(StrategyPlanner&& other) noexcept = default;
StrategyPlanner& StrategyPlanner::operator=(StrategyPlanner&& other) noexcept = default;
StrategyPlanner::~StrategyPlanner() = default;

StrategyPlan StrategyPlanner::plan(std::uint32_t count, Strategy strategy,
                                   const OptimalOptions& optimal) const {
  return shared_->plan(count, strategy, optimal);
}

StrategyPlan plan_by_strategy(const Graph& graph, std::span<const DevicePool> pools,
                              Strategy strategy, const OptimalOptions& optimal) {
  check_can_be_planned(graph.model());
  if (strategy == Strategy::kOptimal)
    return {best_on_busy_host(
        graph, pools, optimal,
        optimal_plan(graph, pools, optimal, segment_optimal(graph, pools, optimal)))};
  if (pools.size() != 1) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format(
            "strategy {} supports only equal devices; use strategy optimal for unequal ones",
            to_string(strategy)));
  }
  const DevicePool& pool = pools[0];
  return StrategyPlanning(graph, pool.device, pool.count, pool.shares_link)
      .plan(pool.count, strategy, {});
}

std::vector<ComparedPlan> compare_strategies(const Graph& graph, const DeviceSpec& device,
                                             std::uint32_t first, std::uint32_t last,
                                             const CompareOptions& options) {
  if (first == 0 || last < first || last > kMostComparedTpus) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} to {} TPUs: a comparison supports 1 to {}", first, last,
                            kMostComparedTpus));
  }
  check_can_be_planned(graph.model());
  const StrategyPlanner planner(graph, device, last, options.shares_link);
  const std::size_t plans = (last - first + 1) * kStrategies.size();
  std::vector<ComparedPlan> rows;
  run_in_order(
      plans, options.threads,
      [&](std::size_t i) -> std::optional<ComparedPlan> {
        const std::uint32_t tpus = first + static_cast<std::uint32_t>(i / kStrategies.size());
        const Strategy strategy = kStrategies.at(i % kStrategies.size());
        try {
          return ComparedPlan{
              tpus, planner.plan(tpus, strategy, {.max_replicas = options.max_replicas}).plan};
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
