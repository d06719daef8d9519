#include "compiler/depth_ranges.h"

#include <algorithm>
#include <numeric>

namespace segue {
namespace {

// An activation that is read at depth `read` and was written, or read before, at depth `since`.
struct Wait {
  std::uint32_t since = 0;
  std::uint32_t read = 0;
  std::uint64_t bytes = 0;
};

// One for each activation and depth that reads it, ascending in that depth.
std::vector<Wait> waits_of(const Graph& graph) {
  const Model& model = graph.model();
  std::vector<std::uint32_t> touched(model.tensors().size());
  std::vector<Wait> waits;
  for (std::uint32_t depth = 1; depth <= graph.depth(); ++depth) {
    const auto operators = graph.operators_between(depth, depth);
    for (const OperatorId id : operators) {
      for (const std::int32_t position : model.op(id).inputs) {
        if (position < 0) continue;
        const Tensor& tensor = model.tensor(tensor_id(position));
        std::uint32_t& since = touched[static_cast<std::size_t>(position)];
        if (tensor.is_constant() || tensor.is_variable || since == depth) continue;
        waits.push_back({since, depth, tensor.bytes});
        since = depth;
      }
    }
    for (const OperatorId id : operators) {
      for (const std::int32_t position : model.op(id).outputs)
        touched[static_cast<std::size_t>(position)] = depth;
    }
  }
  return waits;
}

}  // namespace

DepthRanges::DepthRanges(const Graph& graph, const DeviceSpec& device)
    : graph_(graph), device_(device), sums_(graph.depth() + 1), next_reads_(graph.depth() + 1) {
  sum_operators();
  sum_reads();
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
      sums.cached_bytes += candidate->footprint.cached_bytes;
      ++sums.candidates;
    } else {
      sums.uncached_bytes += parameter_footprint(model, id, device_).streamed_bytes;
    }
  }
  std::ranges::sort(candidates, is_cached_before);
  for (const CachingCandidate& candidate : candidates) {
    in_order_.push_back({graph_.stats(candidate.op).depth, candidate.footprint.cached_bytes,
                         candidate.footprint.streamed_bytes});
  }
  by_depth_.resize(in_order_.size());
  std::iota(by_depth_.begin(), by_depth_.end(), 0U);
  std::ranges::stable_sort(by_depth_, {}, [&](std::uint32_t i) { return in_order_[i].depth; });
}

void DepthRanges::sum_reads() {
  for (const Wait& wait : waits_of(graph_)) {
    sums_[wait.read].read_bytes += wait.bytes;
    for (std::size_t i = wait.since + 1; i < next_reads_.size(); i += i & (~i + 1)) {
      const std::uint64_t before = next_reads_[i].empty() ? 0 : next_reads_[i].back().bytes;
      next_reads_[i].push_back({wait.read, before + wait.bytes});
    }
  }
  for (std::size_t d = 1; d < sums_.size(); ++d) {
    sums_[d].cached_bytes += sums_[d - 1].cached_bytes;
    sums_[d].uncached_bytes += sums_[d - 1].uncached_bytes;
    sums_[d].read_bytes += sums_[d - 1].read_bytes;
    sums_[d].unsupported += sums_[d - 1].unsupported;
    sums_[d].candidates += sums_[d - 1].candidates;
  }
}

// Each activation that the range receives has one first read in it: those reads up to `last` whose
// activation waits since before `first`, without those that are over before `first`.
std::uint64_t DepthRanges::input_bytes(std::uint32_t first, std::uint32_t last) const {
  std::uint64_t bytes = 0;
  for (std::size_t i = first; i > 0; i -= i & (~i + 1)) {
    const auto& reads = next_reads_[i];
    const auto end = std::ranges::upper_bound(reads, last, {}, &ReadSum::depth);
    if (end != reads.begin()) bytes += (end - 1)->bytes;
  }
  return bytes - sums_[first - 1].read_bytes;
}

std::uint64_t DepthRanges::spilled_bytes(std::uint32_t first, std::uint32_t last,
                                         std::uint64_t capacity) const {
  std::uint64_t used = 0;
  std::uint64_t spilled = 0;
  const auto place = [&](const Candidate& candidate) {
    if (used + candidate.cached_bytes <= capacity) {
      used += candidate.cached_bytes;
    } else {
      spilled += candidate.streamed_bytes;
    }
  };
  // A short range of a deep model sorts its own candidates instead of passing over all others.
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
  const std::uint64_t capacity = parameter_capacity(device_.memory, input_bytes(first, last));
  if (above.cached_bytes - below.cached_bytes <= capacity) return uncached;
  return uncached + spilled_bytes(first, last, capacity);
}

}  // namespace segue
