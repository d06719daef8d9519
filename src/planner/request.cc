// Goals, the number of devices, and strategies that measure.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "planner/no_plan.h"
#include "segue/error.h"
#include "segue/planner.h"
#include "segue/timeline.h"

namespace segue {
namespace {

[[noreturn]] void refuse(const char* reason) { throw Error(ErrorCode::kInvalidArgument, reason); }

// --- One number of devices

ProfiledSegmentation search_profile(const Graph& graph, const PlanRequest& request,
                                    const DevicePool& pool) {
  const SegmentLatency measured = request.measure ? request.measure(pool.count) : nullptr;
  if (request.search == ProfileSearch::kBisection) {
    Profile operators = Profile::of_vendor_order(
        graph, measured ? measured : simulated_latency(graph, pool.device));
    return segment_by_bisection(operators, vendor_ends(graph, pool.count));
  }
  Profile depths =
      measured ? Profile::of_depths(graph, measured) : Profile::simulated(graph, pool.device);
  return request.search == ProfileSearch::kExhaustive ? segment_by_exhaustion(depths, pool.count)
                                                      : segment_profiled(depths, pool.count);
}

// Moves cuts until the compiler reports that nothing streams. The plan has its byte counts.
void refine(const Graph& graph, const PlanRequest& request, std::span<const DevicePool> pools,
            PlanResult& result) {
  if (!result.balanced) refuse("refinement requires a strategy that returns its balanced cuts");
  const Compiler& compiler = *request.refines;
  result.balanced = refine_balanced(graph, *result.balanced, compiler, request.most_questions);
  std::vector<CompiledMemory> memory;
  for (const auto& segment : result.balanced->segmentation.segments) {
    const MemoryReport report = compiler.compile(graph, segment);
    memory.push_back(
        {report.on_chip_bytes, report.host_bytes, report.compiler, report.host_operators});
  }
  const std::vector<PoolCounts> devices(memory.size(), PoolCounts{1});
  const Plan plan =
      make_plan(graph, result.balanced->segmentation, pools, request.strategy.strategy, devices);
  result.plan = with_compiled_memory(plan, graph, memory, pools);
}

// Searches without decoding, which takes the same time for all segmentations. It only reduces the
// latency that remains for the stages.
StrategyPlan plan_stages(const Graph& graph, const PlanRequest& request,
                         std::span<const DevicePool> pools) {
  OptimalOptions limits = request.limits;
  if (!request.decoding || !limits.max_latency)
    return plan_by_strategy(graph, pools, request.strategy, limits);
  const Nanoseconds time = decoding_on(*request.decoding, pools).time;
  const std::string of_decoding = fmt::format("decoding on the host takes {} of the latency of {}",
                                              format_time(time), format_time(*limits.max_latency));
  *limits.max_latency -= time;
  if (*limits.max_latency <= Nanoseconds(0))
    throw Error(ErrorCode::kInfeasible, graph.model().name() + ": " + of_decoding);
  try {
    return plan_by_strategy(graph, pools, request.strategy, limits);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInfeasible) throw;
    throw Error(error.code(), fmt::format("{}; {}", error.what(), of_decoding));
  }
}

PlanResult plan_on(const Graph& graph, const PlanRequest& request, std::vector<DevicePool> pools) {
  PlanResult result;
  if (request.topology) {
    result.plan = plan_on_topology(graph, *request.topology, request.limits);
    result.sustained_per_s = sustained_per_s(result.plan, pools);
    result.pools = std::move(pools);
    return result;
  }
  const bool is_own_search = request.search != ProfileSearch::kExact || request.measure;
  if (is_own_search && pools.size() == 1) {
    check_can_be_planned(graph.model(), pools[0].device);
    result.profiled = search_profile(graph, request, pools[0]);
    const Segmentation& cuts = result.profiled->segmentation;
    const std::vector<PoolCounts> devices(cuts.segments.size(), PoolCounts{1});
    result.plan = make_plan(graph, cuts, pools, Strategy::kProfile, devices);
  } else {
    StrategyPlan made = plan_stages(graph, request, pools);
    result.plan = std::move(made.plan);
    result.balanced = std::move(made.balanced);
    result.profiled = std::move(made.profiled);
    if (request.refines != nullptr) refine(graph, request, pools, result);
  }
  if (request.decoding)
    result.plan = with_decoding(std::move(result.plan), *request.decoding, pools);
  result.sustained_per_s = sustained_per_s(result.plan, pools);
  result.pools = std::move(pools);
  return result;
}

// Returns nothing if the model cannot be split into so many segments, or no plan is fast enough.
std::optional<PlanResult> try_count(const Graph& graph, const PlanRequest& request,
                                    std::uint32_t count) {
  DevicePool pool = request.pools[0];
  pool.count = count;
  pool.shares_link = pool.shares_link && count > 1;
  try {
    return plan_on(graph, request, {pool});
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInfeasible) throw;
    return std::nullopt;
  }
}

// --- Goals

bool has_goals(const PlanRequest& request) {
  return request.least_throughput_per_s || request.limits.max_latency;
}

bool is_quick(const PlanRequest& request, const Plan& plan) {
  return !request.limits.max_latency || plan.predicted.latency <= *request.limits.max_latency;
}

bool are_met(const PlanRequest& request, const PlanResult& result) {
  return is_quick(request, result.plan) &&
         result.sustained_per_s >= request.least_throughput_per_s.value_or(0);
}

// Whether `a` misses the goals by less: the latency first, then throughput.
bool is_nearer(const PlanRequest& request, const Plan& a, const Plan& b) {
  if (is_quick(request, a) != is_quick(request, b)) return is_quick(request, a);
  if (!is_quick(request, a)) return a.predicted.latency < b.predicted.latency;
  return a.predicted.bottleneck < b.predicted.bottleneck;
}

std::string reached(const PlanResult& result) {
  return fmt::format("{:.1f}/s with a latency of {} on {}", result.sustained_per_s,
                     format_time(result.plan.predicted.latency),
                     format_count(result.plan.device_count(), "TPU"));
}

[[noreturn]] void throw_goals_missed(const PlanRequest& request, const PlanResult& result) {
  const Plan& plan = result.plan;
  throw Error(
      ErrorCode::kInfeasible,
      fmt::format("{}: goal not reached: {} requested, {} predicted (simulated); {}",
                  plan.model.name, goals_text(request), reached(result),
                  plan.strategy != Strategy::kOptimal   ? "strategy optimal may reach it"
                  : plan.bound && plan.bound->is_proven ? "proven infeasible on these devices"
                                                        : "this is the best plan found"));
}

// The plan that comes nearest to a latency that no plan reaches.
std::optional<PlanResult> nearest_without_goals(const Graph& graph, PlanRequest request) {
  const PlanRequest goals = request;
  request.limits.max_latency.reset();
  request.least_throughput_per_s.reset();
  if (request.strategy.takes_limits) request.limits.objective = Objective::kLatency;
  std::optional<PlanResult> nearest;
  for (std::uint32_t count = 1; count <= request.pools[0].count; ++count) {
    auto result = try_count(graph, request, count);
    if (result && (!nearest || is_nearer(goals, result->plan, nearest->plan)))
      nearest = std::move(result);
  }
  return nearest;
}

PlanResult fewest(const Graph& graph, const PlanRequest& request) {
  const std::uint32_t most = request.pools[0].count;
  std::optional<PlanResult> nearest;
  for (std::uint32_t count = 1; count <= most; ++count) {
    auto result = try_count(graph, request, count);
    if (!result) continue;
    if (are_met(request, *result)) {
      result->choice = CountChoice{CountChoice::Reason::kReachesGoals};
      return std::move(*result);
    }
    if (!nearest || is_nearer(request, result->plan, nearest->plan)) nearest = std::move(result);
  }
  if (!nearest) nearest = nearest_without_goals(graph, request);
  throw Error(
      ErrorCode::kInfeasible,
      fmt::format("{}: no plan of strategy {} on up to {} reaches {}; nearest: {} (simulated){}",
                  graph.model().name(), request.strategy.key, format_count(most, "TPU"),
                  goals_text(request), nearest ? reached(*nearest) : "none",
                  request.strategy.strategy == Strategy::kOptimal ? "" : "; try strategy optimal"));
}

// --- Devices that are worth it

double gain(const Plan& more, const Plan& than) {
  return more.predicted.throughput_per_s / than.predicted.throughput_per_s - 1;
}

// Returns the throughput of the exact search on one more device, if that device is worth it and the
// strategy is another one, which makes no replicas.
std::optional<double> worthwhile_optimum(const Graph& graph, const PlanRequest& request,
                                         const Plan& chosen, std::uint32_t count) {
  if (request.strategy.strategy == Strategy::kOptimal) return std::nullopt;
  const PlanRequest best{.pools = request.pools, .decoding = request.decoding};
  const auto found = try_count(graph, best, count);
  if (!found || gain(found->plan, chosen) < request.least_gain) return std::nullopt;
  return found->plan.predicted.throughput_per_s;
}

PlanResult while_worth_it(const Graph& graph, const PlanRequest& request) {
  using Reason = CountChoice::Reason;
  const std::uint32_t most = request.pools[0].count;
  std::optional<PlanResult> chosen = try_count(graph, request, 1);
  if (!chosen) throw Error(ErrorCode::kInfeasible, graph.model().name() + ": no plan on one TPU");
  chosen->choice = CountChoice{Reason::kLimit};
  for (std::uint32_t count = 2; count <= most; ++count) {
    auto more = try_count(graph, request, count);
    if (!more) {
      chosen->choice = CountChoice{Reason::kNoMoreSegments};
      break;
    }
    const double added = gain(more->plan, chosen->plan);
    if (added < request.least_gain || added <= 0) {
      chosen->choice = CountChoice{added <= 0 ? Reason::kNoGain : Reason::kLittleGain, added,
                                   worthwhile_optimum(graph, request, chosen->plan, count)};
      break;
    }
    chosen = std::move(more);
    chosen->choice = CountChoice{Reason::kLimit};
  }
  return std::move(*chosen);
}

}  // namespace

ProfileSearch parse_profile_search(std::string_view text) {
  if (text == "exact") return ProfileSearch::kExact;
  if (text == "bisection") return ProfileSearch::kBisection;
  if (text == "exhaustive") return ProfileSearch::kExhaustive;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("unknown search '{}' (expected exact, bisection or exhaustive)", text));
}

std::string goals_text(const PlanRequest& request) {
  std::string text;
  if (request.least_throughput_per_s)
    text = fmt::format("{:g} results per second", *request.least_throughput_per_s);
  if (request.limits.max_latency) {
    text += fmt::format("{}a latency of at most {}", text.empty() ? "" : " with ",
                        format_time(*request.limits.max_latency));
  }
  return text;
}

double sustained_per_s(const Plan& plan, std::span<const DevicePool> pools) {
  if (!plan.network && std::ranges::none_of(pools, &DevicePool::shares_link))
    return plan.predicted.throughput_per_s;
  constexpr std::uint64_t kLong = 1000;
  TimelineOptions options = timeline_options(plan, pools);
  options.inputs = kLong;
  const Nanoseconds period = simulate_timeline(stage_loads(plan), options).steady_period();
  return std::min(plan.predicted.throughput_per_s, 1 / to_s(period));
}

namespace {

void check_topology_request(const PlanRequest& request) {
  if (!request.pools.empty())
    refuse("the devices are those of the topology; leave out the list of devices");
  if (request.strategy.strategy != Strategy::kOptimal)
    refuse("a topology requires strategy optimal");
  if (request.decoding)
    refuse("decoding cannot be planned on a topology: plan without it, or on one host");
  if (request.count != DeviceCount::kAll)
    refuse("the number of devices cannot be chosen on a topology; remove nodes from its file");
}

}  // namespace

void check_request(const PlanRequest& request) {
  if (request.topology) {
    check_topology_request(request);
  } else if (request.pools.empty()) {
    refuse("no devices given");
  }
  const OptimalOptions& limits = request.limits;
  const Strategy strategy = request.strategy.strategy;
  const bool is_latency = limits.objective == Objective::kLatency;
  if (!request.strategy.takes_limits && (limits.max_replicas > 0 || is_latency))
    refuse("an objective and a limit of replicas require strategy optimal");
  if (strategy != Strategy::kProfile &&
      (request.search != ProfileSearch::kExact || request.measure))
    refuse("a search over measured or profiled latencies requires strategy profile");
  if (strategy != Strategy::kBalanced && request.refines != nullptr)
    refuse("refinement by a compiler requires strategy balanced");
  if (request.least_throughput_per_s &&
      !(*request.least_throughput_per_s > 0 && std::isfinite(*request.least_throughput_per_s)))
    refuse("the target of the throughput must be a number above 0");
  if (is_latency && request.least_throughput_per_s)
    refuse(
        "the target is a throughput, but the objective is the latency; limit the latency instead");
  if (request.count == DeviceCount::kAll) return;
  if (request.pools.size() > 1)
    refuse("the number of devices can be chosen only for equal devices; name one kind");
  if (is_latency)
    refuse("choosing the number of devices optimizes throughput, but the objective is the latency");
}

PlanResult plan_model(const Graph& graph, const PlanRequest& request) {
  check_request(request);
  if (request.count == DeviceCount::kWorthIt) return while_worth_it(graph, request);
  if (request.count == DeviceCount::kFewest) {
    if (!has_goals(request))
      refuse("the fewest devices for which goal? Set a throughput or latency");
    return fewest(graph, request);
  }
  PlanResult result =
      plan_on(graph, request, request.topology ? open_devices(*request.topology) : request.pools);
  if (!are_met(request, result)) throw_goals_missed(request, result);
  return result;
}

}  // namespace segue
