#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "graph/internal/reads.h"
#include "planner/optimal/ideal_costs.h"
#include "planner/optimal/ideals.h"
#include "planner/optimal/work_bounds.h"
#include "segue/cost.h"
#include "segue/error.h"
#include "segue/segmentation.h"
#include "segue/stop.h"

namespace segue {
namespace {

using Units = std::vector<std::vector<OperatorId>>;

Units depths_of(const Graph& graph) {
  Units units;
  for (std::uint32_t depth = 1; depth <= graph.depth(); ++depth)
    units.push_back(graph.operators_between(depth, depth));
  return units;
}

std::vector<OperatorId> operators_of(const Units& units, std::size_t begin, std::size_t end) {
  std::vector<OperatorId> result;
  for (std::size_t unit = begin; unit < end; ++unit)
    result.insert(result.end(), units[unit].begin(), units[unit].end());
  std::ranges::sort(result);
  return result;
}

Profile profile_of(const Units& units, const SegmentLatency& measure) {
  return {units, [units, measure](std::size_t begin, std::size_t end) {
            return measure(operators_of(units, begin, end));
          }};
}

// Costs of ranges of depths. They refer to the lattice and the device of this struct.
struct DepthCosts {
  DepthCosts(const Graph& graph, DeviceSpec spec)
      : device(std::move(spec)),
        lattice(IdealLattice::along_depths(graph)),
        operators(graph, device),
        costs(operators, lattice) {}
  DeviceSpec device;
  IdealLattice lattice;
  SegmentCosts operators;
  IdealCosts costs;
};

void check_size(const Graph& graph) {
  // Limit of the work for all pairs of depths with the operators between them; some seconds.
  constexpr double kMostWork = 1e11;
  const std::uint64_t reads = reads_of(graph.model());
  const auto depth = static_cast<double>(graph.depth());
  if (depth * depth / 2 * static_cast<double>(reads) <= kMostWork) return;
  throw Error(ErrorCode::kUnsupported,
              fmt::format("{}: too large for strategy profile ({} depths whose operators read {} "
                          "tensors); use --strategy balanced",
                          graph.model().name(), graph.depth(), reads));
}

}  // namespace

Profile::Profile(std::vector<std::vector<OperatorId>> units, RunLatency measure,
                 RunLatency at_least)
    : units_(std::move(units)), measure_(std::move(measure)), at_least_(std::move(at_least)) {}

Profile Profile::of_depths(const Graph& graph, const SegmentLatency& measure) {
  check_size(graph);
  return profile_of(depths_of(graph), measure);
}

Profile Profile::of_vendor_order(const Graph& graph, const SegmentLatency& measure) {
  check_size(graph);
  Units units;
  for (const OperatorId id : graph.vendor_order()) units.push_back({id});
  return profile_of(units, measure);
}

Profile Profile::simulated(const Graph& graph, const DeviceSpec& device) {
  check_size(graph);
  const auto costs = std::make_shared<const DepthCosts>(graph, device);
  const Units units = depths_of(graph);
  std::vector<std::int64_t> work_ns(units.size() + 1);
  for (std::size_t depth = 0; depth < units.size(); ++depth) {
    work_ns[depth + 1] = work_ns[depth];
    for (const OperatorId id : units[depth])
      work_ns[depth + 1] += costs->operators.bound(index(id)).work_ns;
  }
  const std::int64_t fixed_ns = costs->costs.least_fixed_ns() - WorkBounds::kRounding;
  return {units,
          [costs](std::size_t begin, std::size_t end) {
            return Nanoseconds(costs->costs(begin, end).time_ns);
          },
          [work_ns, fixed_ns](std::size_t begin, std::size_t end) {
            return Nanoseconds(fixed_ns + work_ns[end] - work_ns[begin]);
          }};
}

std::vector<OperatorId> Profile::operators(std::size_t begin, std::size_t end) const {
  return operators_of(units_, begin, end);
}

Nanoseconds Profile::latency(std::size_t begin, std::size_t end) {
  const std::uint64_t key = std::uint64_t{begin} * (units_.size() + 1) + end;
  const auto known = latencies_.find(key);
  if (known != latencies_.end()) return known->second;
  check_stopped();
  const Nanoseconds measured = measure_(begin, end);
  latencies_.emplace(key, measured);
  return measured;
}

SegmentLatency simulated_latency(const Graph& graph, const DeviceSpec& device) {
  const std::shared_ptr<const Compiler> compiler = make_simulated_compiler(device);
  return [&graph, device, compiler](std::span<const OperatorId> operators) {
    const MemoryReport report = compiler->compile(graph, operators);
    return simulate_segment(graph, operators, report, device).total();
  };
}

}  // namespace segue
