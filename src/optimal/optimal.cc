#include "segue/optimal.h"

#include <fmt/format.h>

#include <algorithm>

#include "graph/reads.h"
#include "optimal/first_cuts.h"
#include "optimal/ideal_costs.h"
#include "optimal/ideals.h"
#include "optimal/search.h"
#include "optimal/work_bounds.h"
#include "segue/error.h"

namespace segue {
namespace {

// Above, pairs of ideals would take hundreds of megabytes where labels are needed. InceptionV4 has
// 2237.
constexpr std::size_t kMostIdeals = 6000;
constexpr int kCutsToDive = 300;
constexpr int kCutsToProve = 6000;

void check(std::span<const DevicePool> pools) {
  const auto fail = [](ErrorCode code, const std::string& reason) { throw Error(code, reason); };
  if (pools.empty() || std::ranges::any_of(pools, [](const DevicePool& p) { return p.count == 0; }))
    fail(ErrorCode::kInvalidArgument, "0 devices asked for; at least 1 is needed");
  if (pools.size() > kMostPools) {
    fail(ErrorCode::kInvalidArgument,
         fmt::format("{} kinds of devices; at most {} are planned for", pools.size(), kMostPools));
  }
  const std::uint64_t choices = device_choices(pools);
  if (choices > kMostDeviceChoices) {
    fail(ErrorCode::kInvalidArgument,
         fmt::format("{} ways to choose among these unequal devices; at most {} are searched: plan "
                     "for fewer of each kind",
                     choices, kMostDeviceChoices));
  }
}

std::vector<IdealCosts> costs_per_pool(const Graph& graph, const IdealLattice& lattice,
                                       std::span<const DevicePool> pools) {
  std::vector<IdealCosts> costs;
  for (const DevicePool& pool : pools) costs.emplace_back(graph, lattice, pool.device);
  return costs;
}

// Stages and replicas that one pass over the pairs of ideals may look at. In a pure pipeline of
// many devices most counts fall out at once.
double work_of(const Graph& graph, const IdealLattice& lattice, std::span<const DevicePool> pools,
               const OptimalOptions& options) {
  const double devices = device_count(pools);
  const double replicas =
      options.max_replicas > 0 ? std::min<double>(options.max_replicas, devices) : devices;
  const auto ideals = static_cast<double>(lattice.size());
  // Where operators run on the host each pair is compiled and simulated anew.
  const bool has_host =
      !operators_on_host(graph, graph.operators_between(1, graph.depth())).empty();
  constexpr double kPerOperator = 20;
  const double pair = has_host ? kPerOperator * static_cast<double>(graph.operator_count()) : 1;
  return ideals * ideals / 2 * std::max(devices * replicas, pair);
}
constexpr double kMostWork = 1.5e10;  // some seconds

// A search over one lattice, and what it found.
class LatticeSearch {
 public:
  LatticeSearch(const Graph& graph, std::span<const DevicePool> pools,
                const OptimalOptions& options, IdealLattice lattice)
      : pools_(pools),
        options_(options),
        lattice_(std::move(lattice)),
        costs_(costs_per_pool(graph, lattice_, pools)),
        bounds_(lattice_, costs_, graph.operator_count(), device_count(pools)) {}

  // `known`: what some pipeline is known to reach.
  void run(const PaceLimits& known) {
    PaceLimits limits = known;
    if (options_.max_latency)
      limits.latency_ns = std::min(limits.latency_ns, options_.max_latency->count());
    PipelineSearch search(lattice_, costs_, bounds_, pools_, options_.max_replicas);
    best_ = is_latency() ? search.shortest_latency(limits) : search.fastest_pace(limits);
    if (best_) reached_ = search.pace(*best_);
    least_ns_ = is_latency() ? search.least_latency_ns() : search.least_period_ns();
  }

  [[nodiscard]] const IdealLattice& lattice() const { return lattice_; }
  [[nodiscard]] bool found() const { return best_.has_value(); }
  // Limits that a search over more ideals can keep too.
  [[nodiscard]] PaceLimits reached() const {
    PaceLimits limits;
    if (found()) (is_latency() ? limits.latency_ns : limits.period_ns) = objective_ns();
    return limits;
  }

  [[nodiscard]] OptimalSegmentation result(bool is_complete) const {
    OptimalSegmentation result;
    for (const PlannedStage& stage : *best_) {
      result.segmentation.segments.push_back(lattice_.difference(stage.from, stage.to));
      result.devices.emplace_back(
          stage.devices.begin(),
          stage.devices.begin() + static_cast<std::ptrdiff_t>(pools_.size()));
    }
    result.bottleneck = Nanoseconds(reached_.period_ns);
    result.latency = Nanoseconds(reached_.latency_ns);
    const std::int64_t bound = is_complete ? objective_ns() : least_ns_;
    result.bound = {Nanoseconds(bound), bound == objective_ns(), device_count(pools_),
                    options_.max_replicas, options_.max_latency};
    result.ideals = lattice_.size();
    return result;
  }

 private:
  [[nodiscard]] bool is_latency() const { return options_.objective == Objective::kLatency; }
  [[nodiscard]] std::int64_t objective_ns() const {
    return is_latency() ? reached_.latency_ns : reached_.period_ns;
  }

  std::span<const DevicePool> pools_;
  const OptimalOptions& options_;
  IdealLattice lattice_;
  std::vector<IdealCosts> costs_;
  WorkBounds bounds_;
  std::optional<Pipeline> best_;
  PaceLimits reached_;
  std::int64_t least_ns_ = 0;
};

// For pure pipelines on equal devices: more candidates for the first cut, and what it proves.
OptimalSegmentation improved_at_first_cut(const Graph& graph, std::span<const DevicePool> pools,
                                          const OptimalOptions& options,
                                          const LatticeSearch& orders) {
  OptimalSegmentation along_orders = orders.result(false);
  const bool is_pure = options.max_replicas == 1 && pools.size() == 1 &&
                       options.objective == Objective::kThroughput && !options.max_latency;
  if (!is_pure || along_orders.bound.is_proven) return along_orders;
  // A few cuts for candidates, then as many as the proof needs.
  OptimalSegmentation result = along_orders;
  double least_ns = 0;
  for (const bool dives : {true, false}) {
    const auto cuts = find_first_cuts(graph, pools[0].device, pools[0].count,
                                      static_cast<double>(result.bottleneck.count()),
                                      dives ? kCutsToDive : kCutsToProve, dives);
    if (!cuts) return along_orders;
    LatticeSearch search(graph, pools, options, orders.lattice().with(graph, cuts->ideals));
    search.run(orders.reached());
    OptimalSegmentation found = search.result(false);
    if (found.bottleneck < result.bottleneck) result = std::move(found);
    least_ns = std::max(least_ns, cuts->least_ns);
  }
  // The bound is that of exact times; those of stages are rounded part by part.
  constexpr std::int64_t kRoundingNs = 5;
  const auto least = static_cast<std::int64_t>(least_ns) - kRoundingNs;
  const std::int64_t reached = result.bottleneck.count();
  if (least > result.bound.value.count()) result.bound.value = Nanoseconds(least);
  if (reached - least <= 2 * kRoundingNs) result.bound.value = result.bottleneck;
  result.bound.is_proven = result.bound.value == result.bottleneck;
  return result;
}

// Operators that read each other's results a thousandfold are no network: each pair of ideals would
// look at all of them.
constexpr std::uint64_t kMostReads = 10'000'000;  // times operators and depths; some seconds
[[noreturn]] void throw_too_many(const Graph& graph, std::span<const DevicePool> pools) {
  throw Error(
      ErrorCode::kUnsupported,
      fmt::format("{}: too many ways to use the devices {}; plan for fewer kinds, or without "
                  "shared links",
                  graph.model().name(), to_string(pools)));
}

// Where devices leave too much open even along three orders: the best of some horizontal cuts.
OptimalSegmentation along_few_cuts(const Graph& graph, std::span<const DevicePool> pools,
                                   const OptimalOptions& options) {
  for (const std::uint32_t cuts : {48U, 24U, 12U, 6U, 3U, 1U}) {
    try {
      LatticeSearch search(graph, pools, options, IdealLattice::along_some_depths(graph, cuts));
      search.run({});
      if (search.found()) return search.result(false);
    } catch (const TooMuchWork&) {
      continue;
    }
  }
  throw_too_many(graph, pools);
}

[[noreturn]] void fail_on_latency(const Graph& graph, std::span<const DevicePool> pools,
                                  OptimalOptions options) {
  if (!options.max_latency)
    throw Error(ErrorCode::kInternal, graph.model().name() + ": no pipeline found, not even one");
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

}  // namespace

OptimalSegmentation segment_optimal(const Graph& graph, std::span<const DevicePool> pools,
                                    const OptimalOptions& options) {
  check(pools);
  if (graph.operator_count() + graph.depth() > kMostIdeals) {
    throw Error(
        ErrorCode::kUnsupported,
        fmt::format("{}: {} operators in {} depths; the exact search takes {} of both "
                    "together, --strategy balanced more",
                    graph.model().name(), graph.operator_count(), graph.depth(), kMostIdeals));
  }
  const std::uint64_t reads = reads_of(graph.model());
  if (reads * (graph.operator_count() + graph.depth()) > kMostReads) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("{}: {} operators in {} depths read {} tensors; the exact search takes "
                            "a product of {}, --strategy balanced more",
                            graph.model().name(), graph.operator_count(), graph.depth(), reads,
                            kMostReads));
  }
  // The best pipeline along three orders is found in little time; the search over all ideals starts
  // from there.
  LatticeSearch orders(graph, pools, options, IdealLattice::along_orders(graph));
  try {
    if (work_of(graph, orders.lattice(), pools, options) > kMostWork) throw TooMuchWork();
    orders.run({});
  } catch (const TooMuchWork&) {
    return along_few_cuts(graph, pools, options);
  }
  auto all = IdealLattice::all(graph, kMostIdeals);
  if (all && work_of(graph, *all, pools, options) > kMostWork) {
    if (!orders.found()) fail_on_latency(graph, pools, options);
    return orders.result(false);
  }
  if (!all) {
    if (!orders.found()) fail_on_latency(graph, pools, options);
    return improved_at_first_cut(graph, pools, options, orders);
  }
  LatticeSearch search(graph, pools, options, std::move(*all));
  try {
    search.run(orders.reached());
  } catch (const TooMuchWork&) {
    if (orders.found()) return orders.result(false);
    throw_too_many(graph, pools);
  }
  if (!search.found()) fail_on_latency(graph, pools, options);
  return search.result(true);
}

OptimalSegmentation segment_optimal(const Graph& graph, const DeviceSpec& device,
                                    std::uint32_t count, const OptimalOptions& options) {
  const DevicePool pool{device, count, false};
  return segment_optimal(graph, std::span(&pool, 1), options);
}

}  // namespace segue
