// Plans for a topology: bounds and candidates without a network, then the search with it.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <set>

#include "plan/internal/prediction.h"
#include "planner/optimal/shared_stages.h"
#include "planner/topology/network_search.h"
#include "segue/error.h"
#include "segue/planner.h"

namespace segue {
namespace {

constexpr std::int64_t kUnlimited = PaceLimits::kNone;
// Labels created and compared: 100 million take about half a second.
constexpr std::uint64_t kWorkOfPart = 5'000'000;
constexpr std::uint64_t kWorkOfFew = 20'000'000;
constexpr std::uint64_t kWorkOfAll = 60'000'000;
constexpr std::uint32_t kCandidateCuts = 12;

struct Kinds {
  PlacedPools placed;
  std::vector<DeviceSpec> devices;  // of each kind
  std::vector<DevicePool> merged;   // all devices of a kind, as if in one computer
};

Kinds kinds_of(const Topology& topology) {
  Kinds result{{open_devices(topology), {}, nodes_of_pools(topology)}, {}, {}};
  for (const DevicePool& pool : result.placed.pools) {
    const auto known = std::ranges::find(result.devices, pool.device.name, &DeviceSpec::name);
    result.placed.kind.push_back(static_cast<std::size_t>(known - result.devices.begin()));
    if (known != result.devices.end()) {
      DevicePool& merged = result.merged[result.placed.kind.back()];
      merged.count += pool.count;
      merged.shares_link = false;
      continue;
    }
    result.devices.push_back(pool.device);
    result.merged.push_back(pool);
  }
  return result;
}

void check(const Kinds& kinds, const Graph& graph) {
  const auto& pools = kinds.placed.pools;
  if (pools.size() > kMostPools)
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("the topology has {} groups of equal devices on a node; at most {} are "
                            "supported: use fewer nodes, or fewer kinds of devices on them",
                            pools.size(), kMostPools));
  if (device_choices(pools) > kMostDeviceChoices)
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} ways to choose among the devices of the topology; at most {} are "
                            "supported: plan for fewer devices",
                            device_choices(pools), kMostDeviceChoices));
  for (const DeviceSpec& device : kinds.devices) check_can_be_planned(graph.model(), device);
}

// The ideals before each cut of a segmentation.
void add_ideals(const Graph& graph, const Segmentation& segmentation,
                std::vector<std::vector<bool>>& ideals) {
  std::vector<bool> inside(graph.operator_count());
  for (const auto& segment : segmentation.segments) {
    for (const OperatorId id : segment) inside[index(id)] = true;
    ideals.push_back(inside);
  }
}

// A few horizontal cuts, the cuts of the best pipeline without a network, and Google's.
IdealLattice candidates(const Graph& graph, const Segmentation& without_network,
                        std::uint32_t devices) {
  std::vector<std::vector<bool>> ideals;
  add_ideals(graph, without_network, ideals);
  try {
    add_ideals(graph, segment_as_vendor(graph, devices), ideals);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInfeasible) throw;  // fewer operators than devices
  }
  return IdealLattice::along_some_depths(graph, kCandidateCuts).with(ideals);
}

class TopologyPlanner {
 public:
  TopologyPlanner(const Graph& graph, const Topology& topology, const OptimalOptions& options)
      : graph_(graph),
        topology_(topology),
        options_(options),
        kinds_(kinds_of(topology)),
        devices_(device_count(kinds_.placed.pools)) {
    check(kinds_, graph);
  }

  Plan plan() {
    take_simple_plans();
    const SharedStages shared(graph_, kinds_.devices, devices_);
    const LatticeStages few(shared.costs(), candidates(graph_, without_network(), devices_),
                            devices_);
    bound_ns_ = std::max(bound_ns_, few.bounds().least_period_ns(devices_));
    latency_bound_ns_ =
        std::max<std::int64_t>(few.bounds().least_sum_ns(0, few.size() - 1, devices_), 0);
    const std::uint32_t replicas = options_.max_replicas;
    for (const PlacedPools& part : parts_near_entry())
      improve(few, part, {kWorkOfPart, replicas, false});
    improve(few, kinds_.placed, {kWorkOfFew, replicas, false});
    if (!shared.is_large()) {
      const SharedStages::Listed& listed = shared.listed();
      improve(*listed.stages, kinds_.placed, {kWorkOfAll, replicas, listed.gaps.empty()});
    }
    if (stopped_) improve_with_less(few);
    if (!best_) throw_too_slow();
    const std::int64_t bound_ns = by_latency() ? latency_bound_ns_ : bound_ns_;
    best_->bound = {Nanoseconds(std::min(bound_ns, objective_time(*best_).count())), false,
                    devices_, options_.max_replicas, options_.max_latency};
    best_->bound->is_proven = is_reached(*best_->bound, *best_);
    return std::move(*best_);
  }

 private:
  [[nodiscard]] bool by_latency() const { return options_.objective == Objective::kLatency; }
  [[nodiscard]] std::int64_t latency_limit_ns() const {
    return options_.max_latency ? options_.max_latency->count() : kUnlimited;
  }

  // The best cuts if all devices were in one computer; if they are unequal, as if all were of the
  // most frequent kind. That is a matter of milliseconds, and for equal devices a bound.
  Segmentation without_network() {
    DevicePool most = *std::ranges::max_element(kinds_.merged, {}, &DevicePool::count);
    most.count = devices_;
    most.shares_link = false;
    const OptimalSegmentation found =
        segment_optimal(graph_, {&most, 1}, {.max_replicas = options_.max_replicas});
    if (kinds_.merged.size() == 1) bound_ns_ = found.bound.value.count();
    return found.segmentation;
  }

  // The computers around the entry that links of at least some bandwidth connect, the fewest first.
  [[nodiscard]] std::vector<PlacedPools> parts_near_entry() const {
    std::set<double, std::greater<>> bandwidths{std::numeric_limits<double>::max()};
    for (const TopologyLink& link : topology_.links) bandwidths.insert(link.bytes_per_s);
    std::vector<PlacedPools> parts;
    for (const double least : bandwidths) {
      PlacedPools part = kinds_.placed;
      for (std::size_t pool = 0; pool < part.pools.size(); ++pool) {
        const auto way = route(topology_, topology_.entry, part.node[pool]);
        const bool is_near = std::ranges::all_of(way, [&](const TopologyHop& hop) {
          return topology_.links[hop.link].bytes_per_s >= least;
        });
        if (!is_near) part.pools[pool].count = 0;
      }
      const std::uint32_t before = parts.empty() ? 0 : device_count(parts.back().pools);
      const std::uint32_t here = device_count(part.pools);
      if (here > before && here < devices_) parts.push_back(std::move(part));
    }
    return parts;
  }

  struct Effort {
    std::uint64_t most_work = 0;
    std::uint32_t max_replicas = 0;
    bool is_complete = false;  // all ideals and devices: the search raises the bound
  };

  void improve(const LatticeStages& stages, const PlacedPools& placed, const Effort& effort) {
    NetworkSearch search(stages, placed, topology_, effort.max_replicas, effort.most_work);
    if (by_latency()) return improve_latency(search, stages, effort.is_complete);
    const std::int64_t known_ns = best_ ? best_->predicted.bottleneck.count() : kUnlimited;
    const auto found = search.fastest(std::min(bound_ns_, known_ns), known_ns, latency_limit_ns());
    if (found.pipeline) take(stages, *found.pipeline);
    if (effort.is_complete) bound_ns_ = std::max(bound_ns_, found.proven_ns);
    stopped_ = bound_ns_ < (best_ ? best_->predicted.bottleneck.count() : kUnlimited);
  }

  // After a search of too much work: the same with fewer devices and replicas, which takes less
  // work. The plan is then at least as good as those on parts of the topology.
  void improve_with_less(const LatticeStages& few) {
    const std::uint32_t limit = options_.max_replicas == 0 ? devices_ : options_.max_replicas;
    for (const std::uint32_t replicas : {1U, 2U, limit}) {
      if (replicas > limit) continue;
      for (const PlacedPools& part : reduced_parts())
        improve(few, part, {kWorkOfPart, replicas, false});
      improve(few, kinds_.placed, {kWorkOfFew, replicas, false});
    }
  }

  // The first 1, 2, ... groups of devices, then at most 1, 2, ... devices of each group.
  [[nodiscard]] std::vector<PlacedPools> reduced_parts() const {
    std::vector<PlacedPools> parts;
    const auto& pools = kinds_.placed.pools;
    for (std::size_t used = 1; used < pools.size(); ++used) {
      PlacedPools part = kinds_.placed;
      for (std::size_t pool = used; pool < pools.size(); ++pool) part.pools[pool].count = 0;
      parts.push_back(std::move(part));
    }
    const std::uint32_t largest = std::ranges::max(pools, {}, &DevicePool::count).count;
    for (std::uint32_t most = 1; most < largest; ++most) {
      PlacedPools part = kinds_.placed;
      for (DevicePool& pool : part.pools) pool.count = std::min(pool.count, most);
      parts.push_back(std::move(part));
    }
    return parts;
  }

  void improve_latency(NetworkSearch& search, const LatticeStages& stages, bool is_complete) {
    const std::int64_t known_ns = best_ ? best_->predicted.latency.count() : kUnlimited;
    try {
      const auto found = search.shortest(std::min(latency_limit_ns(), known_ns));
      if (!found) return;
      take(stages, *found);
      if (is_complete) latency_bound_ns_ = search.pace(*found).latency_ns;
      stopped_ = false;
    } catch (const TooMuchWork&) {
      stopped_ = true;  // the result is the best until then
    }
  }

  // The whole model on one device, and Google's cuts.
  void take_simple_plans() {
    const auto& pools = kinds_.placed.pools;
    const Segmentation whole{{graph_.operators_between(1, graph_.depth())}};
    for (std::size_t pool = 0; pool < pools.size(); ++pool) {
      PoolCounts one(pools.size());
      one[pool] = 1;
      take(make_plan(graph_, whole, topology_, Strategy::kOptimal, {{one}}));
    }
    try {
      take(plan_in_order(graph_, topology_));
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kInfeasible) throw;  // fewer operators than devices
    }
  }

  void take(const LatticeStages& stages, const PlannedStages& pipeline) {
    Segmentation segmentation;
    std::vector<PoolCounts> devices;
    for (const PlannedStage& stage : pipeline) {
      segmentation.segments.push_back(stages.lattice().difference(stage.from, stage.to));
      devices.emplace_back(
          stage.devices.begin(),
          stage.devices.begin() + static_cast<std::ptrdiff_t>(kinds_.placed.pools.size()));
    }
    take(make_plan(graph_, segmentation, topology_, Strategy::kOptimal, devices));
  }

  void take(Plan plan) {
    plan.strategy = Strategy::kOptimal;
    plan.objective = options_.objective;
    const Bound limits{Nanoseconds(0), false, devices_, options_.max_replicas,
                       options_.max_latency};
    if (!broken_limit(plan, limits).empty()) return;
    if (!best_ || objective_time(plan) <= objective_time(*best_)) best_ = std::move(plan);
  }

  [[noreturn]] void throw_too_slow() const {
    OptimalOptions shortest = options_;
    shortest.max_latency.reset();
    shortest.objective = Objective::kLatency;
    const Plan plan = plan_on_topology(graph_, topology_, shortest);
    const bool is_least = plan.bound->is_proven;
    throw Error(ErrorCode::kInfeasible,
                fmt::format("{}: {} a latency of {}; the smallest{} is {}", graph_.model().name(),
                            is_least ? "no plan on this topology has"
                                     : "found no plan on this topology with",
                            format_time(Nanoseconds(latency_limit_ns())), is_least ? "" : " found",
                            format_time(plan.predicted.latency)));
  }

  const Graph& graph_;
  const Topology& topology_;
  OptimalOptions options_;
  Kinds kinds_;
  std::uint32_t devices_;
  std::int64_t bound_ns_ = 0;  // of the time between two results
  std::int64_t latency_bound_ns_ = 0;
  bool stopped_ = false;  // the last search did not prove its result
  std::optional<Plan> best_;
};

}  // namespace

Plan plan_in_order(const Graph& graph, const Topology& topology) {
  const std::vector<DevicePool> pools = open_devices(topology);
  std::vector<PoolCounts> devices;
  for (std::size_t pool = 0; pool < pools.size(); ++pool) {
    PoolCounts one(pools.size());
    one[pool] = 1;
    devices.insert(devices.end(), pools[pool].count, one);
  }
  return make_plan(graph, segment_as_vendor(graph, devices.size()), topology, Strategy::kCompiler,
                   devices);
}

Plan plan_on_topology(const Graph& graph, const Topology& topology, const OptimalOptions& options) {
  check_topology(topology);
  return TopologyPlanner(graph, topology, within_model(options, graph)).plan();
}

}  // namespace segue
