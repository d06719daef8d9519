#include "device/edgetpu/depth_ranges.h"

#include <algorithm>
#include <numeric>

namespace segue {

DepthRanges::DepthRanges(const Graph& graph, const DeviceSpec& device)
    : costs_(graph, device), sums_(graph.depth() + 1) {
  for (std::size_t i = 0; i < graph.operator_count(); ++i) {
    depths_.push_back(graph.stats(operator_id(i)).depth);
    sums_[depths_[i]] += costs_.operators()[i].sums();
  }
  for (std::size_t d = 1; d < sums_.size(); ++d) sums_[d] += sums_[d - 1];
  for (const CachingCandidate& candidate : costs_.caching_order())
    in_order_.push_back({depths_[index(candidate.op)], candidate.footprint.bytes});
  by_depth_.resize(in_order_.size());
  std::iota(by_depth_.begin(), by_depth_.end(), 0U);
  const auto depth_of = [&](std::uint32_t i) { return in_order_[i].depth; };
  std::ranges::stable_sort(by_depth_, {}, depth_of);
}

std::uint64_t DepthRanges::spilled_bytes(std::uint32_t first, std::uint32_t last,
                                         std::uint64_t capacity) const {
  std::uint64_t used = 0;
  std::uint64_t spilled = 0;
  const auto place = [&](const Candidate& candidate) {
    (used + candidate.bytes <= capacity ? used : spilled) += candidate.bytes;
  };
  // For a short range of a deep model, sorting its own candidates is faster than skipping all
  // others.
  constexpr std::size_t kSortedAtOnce = 16;
  const auto depth_of = [&](std::uint32_t i) { return in_order_[i].depth; };
  const std::span inside(std::ranges::lower_bound(by_depth_, first, {}, depth_of),
                         std::ranges::upper_bound(by_depth_, last, {}, depth_of));
  if (inside.size() * kSortedAtOnce < in_order_.size()) {
    std::vector<std::uint32_t> positions(inside.begin(), inside.end());
    std::ranges::sort(positions);
    for (const std::uint32_t position : positions) place(in_order_[position]);
    return spilled;
  }
  for (const Candidate& candidate : in_order_) {
    if (first <= candidate.depth && candidate.depth <= last) place(candidate);
  }
  return spilled;
}

std::uint64_t DepthRanges::host_bytes(std::uint32_t first, std::uint32_t last) const {
  const OperatorSums sums = sums_[last] - sums_[first - 1];
  if (sums.cached_bytes <= costs_.smallest_capacity()) return sums.uncached_bytes;
  const std::uint64_t capacity =
      costs_.capacity([&](std::size_t op) { return first <= depths_[op] && depths_[op] <= last; });
  return sums.uncached_bytes +
         (sums.cached_bytes <= capacity ? 0 : spilled_bytes(first, last, capacity));
}

}  // namespace segue
