#include "planner/optimal/shared_stages.h"

#include <algorithm>

#include "model/internal/state.h"

namespace segue {
namespace {

std::vector<OperatorId> depth_order(std::vector<OperatorId> order, const Graph& graph) {
  std::ranges::stable_sort(order, {}, [&](OperatorId id) { return graph.stats(id).depth; });
  return order;
}

// Whether the tables of pairs of cuts would be too large: the number of readers of crossing
// tensors, summed over all cuts of the file order.
bool is_too_dense(const Graph& graph) {
  constexpr double kMostLooks = 2e10;
  const Model& model = graph.model();
  double looks = 0;
  for (std::size_t i = 0; i < graph.operator_count(); ++i) {
    const auto readers = graph.readers(operator_id(i));
    if (!readers.empty())
      looks += static_cast<double>(index(readers.back()) - i) * static_cast<double>(readers.size());
  }
  return looks * static_cast<double>(model.operators().size()) > kMostLooks;
}

}  // namespace

OptimalOptions within_model(OptimalOptions limits, const Graph& graph) {
  if (keeps_state(graph.model())) limits.max_replicas = 1;
  return limits;
}

SharedStages::SharedStages(const Graph& graph, std::vector<DeviceSpec> kinds,
                           std::uint32_t most_devices)
    : graph_(graph),
      kinds_(std::move(kinds)),
      most_devices_(most_devices),
      cut_orders_(cut_orders(graph)) {
  for (const DeviceSpec& kind : kinds_) costs_.emplace_back(graph, kind);
  const std::size_t cuts = cut_orders_.size() * graph.operator_count() + graph.depth();
  is_large_ = cuts > most_ideals() || is_too_dense(graph);
}

std::size_t SharedStages::most_ideals() const {
  return std::ranges::all_of(costs_, &SegmentCosts::are_sums) ? kMostIdeals : kMostAskedIdeals;
}

std::unique_ptr<LatticeStages> SharedStages::stages_over(IdealLattice lattice) const {
  return std::make_unique<LatticeStages>(costs_, std::move(lattice), most_devices_);
}

const LatticeStages& SharedStages::orders() const {
  return *orders_.get([&] { return stages_over(IdealLattice::along_orders(graph_, cut_orders_)); });
}

const SharedStages::Listed& SharedStages::listed() const {
  return listed_.get([&] { return list(); });
}

SharedStages::Listed SharedStages::list() const {
  Listed listed;
  IdealLattice narrow = IdealLattice::narrow(graph_, most_ideals(), listed.gaps);
  if (listed.gaps.empty()) {
    listed.stages = stages_over(std::move(narrow));
    return listed;
  }
  listed.stages = stages_over(IdealLattice::along_orders(graph_, cut_orders_).with(narrow));
  listed.narrow = listed.stages->lattice().positions_of(narrow);
  for (IdealGap& gap : listed.gaps) gap = {listed.narrow[gap.below], listed.narrow[gap.above]};
  return listed;
}

const SharedStages::Ranges& SharedStages::ranges() const {
  return ranges_.get([&] { return range(); });
}

SharedStages::Ranges SharedStages::range() const {
  Ranges ranges;
  ranges.narrow = narrow_prefixes(graph_);
  for (std::size_t i = 1; i < ranges.narrow.size(); ++i) {
    const IdealGap gap{ranges.narrow[i - 1], ranges.narrow[i]};
    if (gap.above - gap.below > 1) ranges.gaps.push_back(gap);
  }
  std::vector<std::vector<OperatorId>> orders = cut_orders_;
  auto by_depth = depth_order(orders[0], graph_);
  if (std::ranges::find(orders, by_depth) == orders.end()) orders.push_back(std::move(by_depth));
  for (auto& order : orders) {
    auto stages = RangeStages::along(costs_[0], std::move(order), most_devices_);
    if (stages) ranges.orders.push_back(std::move(*stages));
    if (ranges.orders.empty()) break;
  }
  return ranges;
}

}  // namespace segue
