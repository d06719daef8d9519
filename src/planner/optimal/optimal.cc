#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <tuple>

#include "planner/optimal/equal_devices.h"
#include "planner/optimal/search.h"
#include "planner/optimal/shared_stages.h"
#include "segue/error.h"
#include "segue/planner.h"

namespace segue {
namespace {

void check(std::span<const DevicePool> pools) {
  const auto fail = [](ErrorCode code, const std::string& reason) { throw Error(code, reason); };
  if (pools.empty() || std::ranges::any_of(pools, [](const DevicePool& p) { return p.count == 0; }))
    fail(ErrorCode::kInvalidArgument, "0 devices requested; at least 1 is needed");
  if (pools.size() > kMostPools) {
    fail(ErrorCode::kInvalidArgument,
         fmt::format("{} kinds of devices; at most {} are supported", pools.size(), kMostPools));
  }
  const std::uint64_t choices = device_choices(pools);
  if (choices > kMostDeviceChoices) {
    fail(ErrorCode::kInvalidArgument,
         fmt::format("{} ways to choose among these unequal devices; at most {} are supported: "
                     "plan for fewer of each kind",
                     choices, kMostDeviceChoices));
  }
}

// Returns the number of stages and replicas that one pass over the pairs of ideals may visit.
double work_of(std::size_t ideals, std::span<const DevicePool> pools,
               const OptimalOptions& options) {
  const double devices = device_count(pools);
  const double replicas =
      options.max_replicas > 0 ? std::min<double>(options.max_replicas, devices) : devices;
  return static_cast<double>(ideals) * static_cast<double>(ideals) / 2 * devices * replicas;
}
constexpr double kMostWork = 1.5e10;  // some seconds

// A search over one lattice and its result.
class LatticeSearch {
 public:
  LatticeSearch(const LatticeStages& stages, std::span<const DevicePool> pools,
                const OptimalOptions& options)
      : stages_(stages), pools_(pools), options_(options) {}

  // `known`: limits that a known pipeline satisfies.
  void run(const PaceLimits& known) {
    PaceLimits limits = known;
    if (options_.max_latency)
      limits.latency_ns = std::min(limits.latency_ns, options_.max_latency->count());
    PipelineSearch search(stages_, pools_, options_.max_replicas);
    best_ = is_latency() ? search.shortest_latency(limits) : search.fastest_pace(limits);
    if (best_) reached_ = search.pace(*best_);
    least_ns_ = is_latency() ? search.least_latency_ns() : search.least_period_ns();
    proven_ns_ = search.proven_ns();
  }

  [[nodiscard]] bool found() const { return best_.has_value(); }
  // Limits that a search over more ideals can satisfy too.
  [[nodiscard]] PaceLimits reached() const {
    PaceLimits limits;
    if (found()) (is_latency() ? limits.latency_ns : limits.period_ns) = objective_ns();
    return limits;
  }
  // A lower bound over all ideals.
  [[nodiscard]] std::int64_t least_ns() const { return least_ns_; }

  [[nodiscard]] OptimalSegmentation result(bool is_complete) const {
    OptimalSegmentation result;
    for (const PlannedStage& stage : *best_) {
      result.segmentation.segments.push_back(stages_.lattice().difference(stage.from, stage.to));
      result.devices.emplace_back(
          stage.devices.begin(),
          stage.devices.begin() + static_cast<std::ptrdiff_t>(pools_.size()));
    }
    result.bottleneck = Nanoseconds(reached_.period_ns);
    result.latency = Nanoseconds(reached_.latency_ns);
    const std::int64_t bound = is_complete ? proven_ns_ : least_ns_;
    result.bound = {Nanoseconds(bound), bound == objective_ns(), device_count(pools_),
                    options_.max_replicas, options_.max_latency};
    result.ideals = stages_.size();
    return result;
  }

 private:
  [[nodiscard]] bool is_latency() const { return options_.objective == Objective::kLatency; }
  [[nodiscard]] std::int64_t objective_ns() const {
    return is_latency() ? reached_.latency_ns : reached_.period_ns;
  }

  const LatticeStages& stages_;
  std::span<const DevicePool> pools_;
  const OptimalOptions& options_;
  std::optional<PlannedStages> best_;
  PaceLimits reached_;
  std::int64_t least_ns_ = 0;
  std::int64_t proven_ns_ = 0;
};

void raise_bound(OptimalSegmentation& result, std::int64_t least_ns) {
  result.bound.value =
      std::max(result.bound.value, std::min(Nanoseconds(least_ns), result.bottleneck));
  result.bound.is_proven = result.bound.value == result.bottleneck;
}

[[noreturn]] void throw_too_many(const Graph& graph, std::span<const DevicePool> pools) {
  throw Error(ErrorCode::kUnsupported, fmt::format("{}: too many ways to assign the devices {}; "
                                                   "plan for fewer kinds, or without shared links",
                                                   graph.model().name(), to_string(pools)));
}

// Returns the best of a few horizontal cuts. For searches that are too large even along the
// orders.
OptimalSegmentation along_few_cuts(const SharedStages& shared, std::span<const DevicePool> pools,
                                   const OptimalOptions& options) {
  const Graph& graph = shared.graph();
  for (const std::uint32_t cuts : {48U, 24U, 12U, 6U, 3U, 1U}) {
    try {
      const LatticeStages stages(shared.costs(), IdealLattice::along_some_depths(graph, cuts),
                                 device_count(pools));
      LatticeSearch search(stages, pools, options);
      search.run({});
      if (search.found()) return search.result(false);
    } catch (const TooMuchWork&) {
      continue;
    }
  }
  throw_too_many(graph, pools);
}

// Returns the position of the kind on which the whole model takes the longest.
std::size_t slowest_kind(const Graph& graph, std::span<const DevicePool> pools) {
  const auto all = graph.operators_between(1, graph.depth());
  const auto time_on = [&](const DevicePool& pool) {
    const auto memory = make_simulated_compiler(pool.device)->compile(graph, all);
    return simulate_segment(graph, all, memory, pool.device).total();
  };
  return static_cast<std::size_t>(std::ranges::max_element(pools, {}, time_on) - pools.begin());
}

// After a search over several kinds that proved nothing: the better one of its result, and of that
// without the slowest kind, which has fewer choices.
OptimalSegmentation or_without_slowest_kind(OptimalSegmentation result, const Graph& graph,
                                            std::span<const DevicePool> pools,
                                            const OptimalOptions& options) {
  if (pools.size() == 1 || result.bound.is_proven) return result;
  const std::size_t slowest = slowest_kind(graph, pools);
  std::vector<DevicePool> fewer(pools.begin(), pools.end());
  fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(slowest));
  const auto objective = [&](const OptimalSegmentation& one) {
    return options.objective == Objective::kLatency ? one.latency : one.bottleneck;
  };
  try {
    OptimalSegmentation other = segment_optimal(graph, fewer, options);
    if (objective(other) >= objective(result)) return result;
    for (PoolCounts& counts : other.devices)
      counts.insert(counts.begin() + static_cast<std::ptrdiff_t>(slowest), 0);
    other.bound = result.bound;
    other.bound.value = std::min(other.bound.value, objective(other));
    other.bound.is_proven = other.bound.value == objective(other);
    return other;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInfeasible && error.code() != ErrorCode::kUnsupported) throw;
    return result;
  }
}

[[noreturn]] void fail_on_latency(const Graph& graph, std::span<const DevicePool> pools,
                                  OptimalOptions options) {
  if (!options.max_latency)
    throw Error(ErrorCode::kInternal, graph.model().name() + ": no pipeline found");
  const std::int64_t asked = options.max_latency->count();
  options.max_latency.reset();
  options.objective = Objective::kLatency;
  const OptimalSegmentation shortest = segment_optimal(graph, pools, options);
  const std::string_view what = shortest.bound.is_proven ? "no plan on these devices has"
                                                         : "found no plan on these devices with";
  throw Error(ErrorCode::kInfeasible,
              fmt::format("{}: {} a latency of {}; the smallest{} is {}", graph.model().name(),
                          what, format_time(Nanoseconds(asked)),
                          shortest.bound.is_proven ? "" : " found", format_time(shortest.latency)));
}

OptimalSegmentation pipeline_of(const RangeStages& stages,
                                std::span<const EqualDevices<RangeStages>::Stage> pipeline,
                                Nanoseconds hop) {
  const bool is_plain = pipeline.size() == 1 && pipeline[0].replicas == 1;
  OptimalSegmentation result;
  for (const auto& stage : pipeline) {
    const Nanoseconds time(stages.time_ns(stage.from, stage.to));
    result.segmentation.segments.push_back(stages.operators(stage.from, stage.to));
    result.devices.push_back({stage.replicas});
    result.bottleneck = std::max(result.bottleneck, time / stage.replicas);
    result.latency += is_plain ? time : time + hop;
  }
  return result;
}

// Searches along the orders, one by one. Returns nothing if stage times are not sums.
std::optional<OptimalSegmentation> along_ranges(const SharedStages& shared, const DevicePool& pool,
                                                const OptimalOptions& options) {
  const SharedStages::Ranges& ranges = shared.ranges();
  if (ranges.orders.empty()) return std::nullopt;
  const std::uint32_t replicas =
      options.max_replicas == 0 ? pool.count : std::min(options.max_replicas, pool.count);
  const RangeStages& file = ranges.orders[0];
  const std::int64_t least = file.bounds().least_period_ns(pool.count);
  std::optional<OptimalSegmentation> best;
  std::tuple<Nanoseconds, std::uint32_t, std::size_t> best_rank;  // then devices, then stages
  for (const RangeStages& stages : ranges.orders) {
    std::vector<std::uint32_t> cuts(stages.size());
    std::iota(cuts.begin(), cuts.end(), 0U);
    EqualDevices<RangeStages> search(stages, std::move(cuts), {}, pool.count, replicas);
    if (!search.solve(least, best ? best->bottleneck.count() : PaceLimits::kNone)) continue;
    auto found = pipeline_of(stages, search.pipeline(), runner_hop(pool.device.timing));
    const std::tuple rank(found.bottleneck, search.needed()[0], found.devices.size());
    if (best && rank >= best_rank) continue;
    best = std::move(found);
    best_rank = rank;
  }
  if (!best) return std::nullopt;
  best->bound = {Nanoseconds(0), false, pool.count, options.max_replicas, std::nullopt};
  best->ideals = file.size();
  std::optional<std::int64_t> bound;
  if (!ranges.gaps.empty())
    bound = EqualDevices<RangeStages>(file, ranges.narrow, ranges.gaps, pool.count, replicas)
                .solve(least, best->bottleneck.count() - 1);
  raise_bound(*best, bound.value_or(best->bottleneck.count()));
  return best;
}

// Solves problems in which only the stages count.
OptimalSegmentation at_best_pace(const SharedStages& shared, std::span<const DevicePool> pools,
                                 const OptimalOptions& options) {
  const SharedStages::Listed& listed = shared.listed();
  LatticeSearch search(*listed.stages, pools, options);
  search.run({});
  OptimalSegmentation result = search.result(listed.gaps.empty());
  if (listed.gaps.empty() || result.bound.is_proven) return result;
  const std::uint32_t devices = pools[0].count;
  EqualDevices<LatticeStages> relaxed(
      *listed.stages, listed.narrow, listed.gaps, devices,
      options.max_replicas == 0 ? devices : std::min(options.max_replicas, devices));
  raise_bound(result, relaxed.solve(search.least_ns(), result.bottleneck.count() - 1)
                          .value_or(result.bottleneck.count()));
  return result;
}

// First a search along the orders, which is fast. Its result limits the search over all ideals.
OptimalSegmentation with_labels(const SharedStages& shared, std::span<const DevicePool> pools,
                                const OptimalOptions& options) {
  const Graph& graph = shared.graph();
  LatticeSearch orders(shared.orders(), pools, options);
  try {
    if (work_of(shared.orders().size(), pools, options) > kMostWork) throw TooMuchWork();
    orders.run({});
  } catch (const TooMuchWork&) {
    return along_few_cuts(shared, pools, options);
  }
  const SharedStages::Listed& listed = shared.listed();
  if (!listed.gaps.empty() || work_of(listed.stages->size(), pools, options) > kMostWork) {
    if (!orders.found()) fail_on_latency(graph, pools, options);
    return orders.result(false);
  }
  LatticeSearch search(*listed.stages, pools, options);
  try {
    search.run(orders.reached());
  } catch (const TooMuchWork&) {
    if (orders.found()) return orders.result(false);
    throw_too_many(graph, pools);
  }
  if (!search.found()) fail_on_latency(graph, pools, options);
  return search.result(true);
}

OptimalSegmentation segment_with(const SharedStages& shared, std::span<const DevicePool> pools,
                                 const OptimalOptions& given) {
  const OptimalOptions options = within_model(given, shared.graph());
  const bool is_of_pace =
      pools.size() == 1 && !options.max_latency && options.objective == Objective::kThroughput;
  const bool is_even = is_of_pace && !pools[0].shares_link;
  if (is_even && !shared.is_large()) return at_best_pace(shared, pools, options);
  if (!shared.is_large()) {
    OptimalSegmentation result = or_without_slowest_kind(with_labels(shared, pools, options),
                                                         shared.graph(), pools, options);
    // Devices with exclusive links are at least as fast.
    if (is_of_pace && !result.bound.is_proven) {
      const DevicePool apart{pools[0].device, pools[0].count, false};
      raise_bound(result, at_best_pace(shared, {&apart, 1}, options).bound.value.count());
    }
    return result;
  }
  if (is_even) {
    if (auto result = along_ranges(shared, pools[0], options)) return *result;
  }
  return along_few_cuts(shared, pools, options);
}

}  // namespace

OptimalSegmentation segment_optimal(const Graph& graph, std::span<const DevicePool> pools,
                                    const OptimalOptions& options) {
  check(pools);
  std::vector<DeviceSpec> kinds;
  for (const DevicePool& pool : pools) kinds.push_back(pool.device);
  return segment_with(SharedStages(graph, std::move(kinds), device_count(pools)), pools, options);
}

OptimalSegmentation segment_optimal(const Graph& graph, const DeviceSpec& device,
                                    std::uint32_t count, const OptimalOptions& options) {
  const DevicePool pool{device, count, false};
  return segment_optimal(graph, std::span(&pool, 1), options);
}

class OptimalPlanner::Shared {
 public:
  Shared(const Graph& graph, const DeviceSpec& kind, std::uint32_t most_devices, bool shares)
      : device(kind), shares_link(shares), stages(graph, {kind}, most_devices) {}
  DeviceSpec device;
  bool shares_link;
  SharedStages stages;
};

OptimalPlanner::OptimalPlanner(const Graph& graph, const DeviceSpec& device,
                               std::uint32_t most_devices, bool shares_link)
    : shared_(std::make_unique<Shared>(graph, device, most_devices, shares_link)) {}
OptimalPlanner::OptimalPlanner(OptimalPlanner&& other) noexcept = default;
OptimalPlanner& OptimalPlanner::operator=(OptimalPlanner&& other) noexcept = default;
OptimalPlanner::~OptimalPlanner() = default;

OptimalSegmentation OptimalPlanner::segment(std::uint32_t count,
                                            const OptimalOptions& options) const {
  const DevicePool pool{shared_->device, count, shared_->shares_link && count > 1};
  check({&pool, 1});
  if (count > shared_->stages.most_devices()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} devices requested; the planner was created for {}", count,
                            shared_->stages.most_devices()));
  }
  return segment_with(shared_->stages, {&pool, 1}, options);
}

}  // namespace segue
