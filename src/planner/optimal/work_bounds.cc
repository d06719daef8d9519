#include "planner/optimal/work_bounds.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <utility>

namespace segue {
namespace {

OperatorBound least_of(std::span<const IdealCosts> costs, std::size_t op) {
  OperatorBound least = costs[0].of_operators().bound(op);
  for (const IdealCosts& cost : costs.subspan(1)) {
    const OperatorBound other = cost.of_operators().bound(op);
    least.work_ns = std::min(least.work_ns, other.work_ns);
    least.spill_ns = std::min(least.spill_ns, other.spill_ns);
    least.cached_bytes = std::min(least.cached_bytes, other.cached_bytes);
  }
  return least;
}

// Returns the most streaming time that `capacity` bytes of memory can save: a fractional knapsack.
// `by_density` is in descending order of saving per byte.
std::int64_t most_saved(std::span<const OperatorBound> by_density, double capacity) {
  double saved = 0;
  for (const OperatorBound& op : by_density) {
    const auto bytes = static_cast<double>(op.cached_bytes);
    const double share = bytes <= capacity ? 1 : capacity / bytes;
    saved += share * static_cast<double>(op.spill_ns);
    capacity -= share * bytes;
    if (share < 1) break;
  }
  return static_cast<std::int64_t>(saved) + 1;
}

}  // namespace

WorkBounds::WorkBounds(const IdealLattice& lattice, std::span<const IdealCosts> costs,
                       std::size_t operators, std::uint32_t devices)
    : costs_(costs),
      devices_(devices),
      input_ns_(lattice.size(), std::numeric_limits<std::int64_t>::max()),
      output_ns_(input_ns_),
      work_ns_(lattice.size()),
      spill_ns_(lattice.size()) {
  std::vector<OperatorBound> bounds;
  for (std::size_t op = 0; op < operators; ++op) bounds.push_back(least_of(costs, op));
  for (std::size_t i = 0; i < lattice.size(); ++i) {
    for (std::size_t op = 0; op < operators; ++op) {
      if (!lattice.contains(i, op)) continue;
      work_ns_[i] += bounds[op].work_ns;
      spill_ns_[i] += bounds[op].spill_ns;
    }
  }
  for (const IdealCosts& cost : costs) {
    for (std::size_t i = 0; i < lattice.size(); ++i) {
      input_ns_[i] = std::min(input_ns_[i], cost.input_ns(i));
      output_ns_[i] = std::min(output_ns_[i], cost.output_ns(i));
    }
  }
  std::uint64_t capacity = 0;
  fixed_ns_ = std::numeric_limits<std::int64_t>::max();
  for (const IdealCosts& cost : costs) {
    capacity = std::max(capacity, cost.of_operators().largest_capacity());
    fixed_ns_ = std::min(fixed_ns_, cost.least_fixed_ns());
  }
  keep(std::move(bounds), capacity);
}

WorkBounds::WorkBounds(const SegmentCosts& costs, std::span<const OperatorId> order,
                       std::uint32_t devices)
    : devices_(devices), fixed_ns_(costs.fixed_ns()), work_ns_(1), spill_ns_(1) {
  std::vector<OperatorBound> bounds;
  for (const OperatorId id : order) {
    bounds.push_back(costs.bound(index(id)));
    work_ns_.push_back(work_ns_.back() + bounds.back().work_ns);
    spill_ns_.push_back(spill_ns_.back() + bounds.back().spill_ns);
  }
  keep(std::move(bounds), costs.largest_capacity());
}

void WorkBounds::keep(std::vector<OperatorBound> operators, std::uint64_t capacity) {
  std::erase_if(operators, [](const OperatorBound& op) { return op.cached_bytes == 0; });
  const auto density = [](const OperatorBound& op) {
    return static_cast<double>(op.spill_ns) / static_cast<double>(op.cached_bytes);
  };
  std::ranges::stable_sort(operators, std::greater<>{}, density);
  for (std::uint32_t count = 0; count <= devices_; ++count)
    kept_ns_.push_back(most_saved(operators, static_cast<double>(capacity) * count));
}

std::uint32_t WorkBounds::least_devices(std::size_t from, std::size_t to,
                                        std::int64_t period_ns) const {
  // A stage on r devices takes less than r * (period + 1), because the quotient is rounded down.
  const std::int64_t work_ns = work_ns_[to] - work_ns_[from];
  const std::int64_t fewest = work_ns / (period_ns + 1 + kRounding);
  if (fewest > devices_) return devices_ + 1;
  for (auto count = static_cast<std::uint32_t>(std::max<std::int64_t>(fewest, 1));
       count <= devices_; ++count) {
    if (static_cast<double>(least_sum_ns(from, to, count)) <
        static_cast<double>(count) * (static_cast<double>(period_ns) + 1))
      return count;
  }
  return devices_ + 1;
}

}  // namespace segue
