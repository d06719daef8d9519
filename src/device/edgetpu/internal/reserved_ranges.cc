#include "device/edgetpu/internal/reserved_ranges.h"

#include <algorithm>
#include <utility>

namespace segue {

std::vector<Reserve> reserves_of(const Model& model, const DeviceSpec& device) {
  const auto least = static_cast<std::uint32_t>(device.memory.least_reserved_rows.value);
  std::vector<Reserve> reserves;
  for (std::size_t i = 0; i < model.operators().size(); ++i) {
    const ReservedRows rows = reserved_rows(model, operator_id(i), device);
    const auto op = static_cast<std::uint32_t>(i);
    if (rows.inside > least) reserves.push_back({rows.inside, op, false});
    if (rows.at_input > std::max(rows.inside, least)) reserves.push_back({rows.at_input, op, true});
  }
  return reserves;
}

ReservedRanges::ReservedRanges(std::size_t size, const std::vector<Item>& items)
    : size_(size), nodes_(2 * size) {
  for (const Item& item : items) {
    most_ = std::max(most_, item.rows);
    for (std::size_t node = size_ + item.position; node > 0; node /= 2)
      nodes_[node].push_back({item.first, item.rows});
  }
  for (auto& steps : nodes_) {
    std::ranges::sort(steps, {}, &Step::first);
    std::vector<Step> ascending;
    for (const Step& step : steps) {
      if (ascending.empty() || step.most > ascending.back().most) ascending.push_back(step);
    }
    steps = std::move(ascending);
  }
}

std::uint32_t ReservedRanges::most_of(const std::vector<Step>& steps, std::size_t from) {
  const auto beyond = std::ranges::upper_bound(steps, from, {}, &Step::first);
  return beyond == steps.begin() ? 0 : std::prev(beyond)->most;
}

std::uint32_t ReservedRanges::rows(std::size_t from, std::size_t to) const {
  std::uint32_t most = 0;
  std::size_t low = size_ + from;
  std::size_t high = size_ + to;
  for (; low < high; low /= 2, high /= 2) {
    if (low % 2 == 1) most = std::max(most, most_of(nodes_[low++], from));
    if (high % 2 == 1) most = std::max(most, most_of(nodes_[--high], from));
  }
  return most;
}

}  // namespace segue
