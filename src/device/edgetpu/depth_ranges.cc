#include "device/edgetpu/depth_ranges.h"

#include <algorithm>
#include <numeric>

namespace segue {
namespace {

// Returns the smallest first depth of a range in which the operator reads an activation from the
// host.
std::uint32_t first_fed(const Graph& graph, OperatorId id) {
  const Model& model = graph.model();
  std::uint32_t first = graph.stats(id).depth + 1;
  for (const std::int32_t position : model.op(id).inputs) {
    if (position < 0) continue;
    const Tensor& tensor = model.tensor(tensor_id(position));
    if (tensor.is_constant() || tensor.is_variable) continue;
    const auto writer = model.producer(tensor_id(position));
    first = std::min(first, writer ? graph.stats(*writer).depth + 1 : 0);
  }
  return first;
}

}  // namespace

DepthRanges::DepthRanges(const Graph& graph, const DeviceSpec& device)
    : graph_(graph),
      device_(device),
      sums_(graph.depth() + 1),
      reserved_(graph.depth() + 1, reserved_by_depth()) {
  sum_operators();
}

std::vector<ReservedRanges::Item> DepthRanges::reserved_by_depth() const {
  std::vector<ReservedRanges::Item> items;
  for (const Reserve& reserve : reserves_of(graph_.model(), device_)) {
    const OperatorId id = operator_id(reserve.op);
    items.push_back(
        {graph_.stats(id).depth, reserve.is_at_input ? first_fed(graph_, id) : 0, reserve.rows});
  }
  return items;
}

void DepthRanges::sum_operators() {
  const Model& model = graph_.model();
  std::vector<CachingCandidate> candidates;
  for (std::size_t i = 0; i < graph_.operator_count(); ++i) {
    const OperatorId id = operator_id(i);
    Sums& sums = sums_[graph_.stats(id).depth];
    if (!is_supported_on_device(model, id)) ++sums.unsupported;
    if (const auto candidate = caching_candidate(model, id, device_)) {
      candidates.push_back(*candidate);
      sums.cached_bytes += candidate->footprint.bytes;
      ++sums.candidates;
    } else {
      sums.uncached_bytes += parameter_footprint(model, id, device_).bytes;
    }
  }
  std::ranges::sort(candidates, is_cached_before);
  for (const CachingCandidate& candidate : candidates) {
    in_order_.push_back({graph_.stats(candidate.op).depth, candidate.footprint.bytes});
  }
  by_depth_.resize(in_order_.size());
  std::iota(by_depth_.begin(), by_depth_.end(), 0U);
  std::ranges::stable_sort(by_depth_, {}, [&](std::uint32_t i) { return in_order_[i].depth; });
  for (std::size_t d = 1; d < sums_.size(); ++d) {
    sums_[d].cached_bytes += sums_[d - 1].cached_bytes;
    sums_[d].uncached_bytes += sums_[d - 1].uncached_bytes;
    sums_[d].unsupported += sums_[d - 1].unsupported;
    sums_[d].candidates += sums_[d - 1].candidates;
  }
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
  const std::span inside = std::span(by_depth_).subspan(
      sums_[first - 1].candidates, sums_[last].candidates - sums_[first - 1].candidates);
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
  const Sums& above = sums_[last];
  const Sums& below = sums_[first - 1];
  const std::uint64_t uncached = above.uncached_bytes - below.uncached_bytes;
  const std::uint64_t cached = above.cached_bytes - below.cached_bytes;
  if (cached <= parameter_capacity(device_.memory, reserved_.most())) return uncached;
  const std::uint64_t capacity =
      parameter_capacity(device_.memory, reserved_.rows(first, std::size_t{last} + 1));
  return cached <= capacity ? uncached : uncached + spilled_bytes(first, last, capacity);
}

}  // namespace segue
