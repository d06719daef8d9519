#include "planner/optimal/range_stages.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>
#include <utility>

#include "planner/optimal/bits.h"

namespace segue {
namespace {

constexpr std::size_t kStep = 16;
constexpr std::size_t kMostCrossings = 8'000'000;
constexpr auto kNone = std::numeric_limits<std::uint32_t>::max();

}  // namespace

std::optional<RangeStages> RangeStages::along(const SegmentCosts& costs,
                                              std::vector<OperatorId> order,
                                              std::uint32_t most_devices) {
  if (costs.has_host() || !costs.are_sums()) return std::nullopt;
  RangeStages stages(costs, std::move(order), most_devices);
  if (!stages.gather_tensors()) return std::nullopt;
  return stages;
}

RangeStages::RangeStages(const SegmentCosts& costs, std::vector<OperatorId> order,
                         std::uint32_t most_devices)
    : costs_(&costs),
      order_(std::move(order)),
      positions_(order_.size()),
      bounds_(costs, order_, most_devices),
      sums_(size()),
      model_output_bytes_(size()),
      reserved_(0, {}),
      next_crowded_(size(), kNone) {
  for (std::size_t i = 0; i < order_.size(); ++i) {
    positions_[index(order_[i])] = static_cast<std::uint32_t>(i);
    sums_[i + 1] = sums_[i];
    sums_[i + 1] += op_at(i).sums();
    model_output_bytes_[i + 1] = model_output_bytes_[i];
    for (const std::uint32_t t : costs.writes(index(order_[i]))) {
      const Activation& tensor = costs.activations()[t];
      if (tensor.is_model_output) model_output_bytes_[i + 1] += tensor.sent_bytes;
    }
  }
  reserved_ = costs.reserved_along(positions_, order_.size());
  gather_last_operators();
  gather_candidates();
}

void RangeStages::gather_last_operators() {
  auto& first = last_of_.emplace_back(order_.size());
  for (std::size_t i = 0; i < first.size(); ++i) first[i] = static_cast<std::uint32_t>(i);
  const auto later = [&](std::uint32_t a, std::uint32_t b) {
    return order_[a] < order_[b] ? b : a;
  };
  for (std::size_t width = 2; width <= order_.size(); width *= 2) {
    const auto& half = last_of_.back();
    std::vector<std::uint32_t> both(order_.size() - width + 1);
    for (std::size_t i = 0; i < both.size(); ++i) both[i] = later(half[i], half[i + width / 2]);
    last_of_.push_back(std::move(both));
  }
}

// Returns the first cut after the writer of a tensor.
std::size_t RangeStages::first_cut_of(const Activation& tensor) const {
  return tensor.writer == SegmentCosts::kNone ? 0 : positions_[tensor.writer] + 1;
}

// Returns the positions of the readers, ascending.
std::vector<std::uint32_t> RangeStages::readers_of(const Activation& tensor) const {
  std::vector<std::uint32_t> readers;
  for (const std::uint32_t op : tensor.readers) readers.push_back(positions_[op]);
  std::ranges::sort(readers);
  return readers;
}

bool RangeStages::gather_tensors() {
  std::size_t crossings = 0;
  for (const Activation& tensor : costs_->activations()) {
    if (!tensor.readers.empty()) crossings += readers_of(tensor).back() + 1 - first_cut_of(tensor);
  }
  if (crossings > kMostCrossings) return false;
  gather_crossings();
  gather_crowding();
  return true;
}

void RangeStages::gather_crossings() {
  const auto is_sent = [](const Activation& tensor) {
    return tensor.writer != SegmentCosts::kNone && !tensor.is_model_output;
  };
  // Calls `visit` with each cut that the tensor crosses and the next reader after it.
  const auto for_crossings = [&](const Activation& tensor, auto visit) {
    const auto readers = readers_of(tensor);
    auto next = readers.begin();
    for (std::size_t cut = first_cut_of(tensor); !readers.empty() && cut <= readers.back(); ++cut) {
      while (*next < cut) ++next;
      visit(cut, *next);
    }
  };
  for (Crossings* crossings : {&next_reads_, &writes_}) crossings->starts.resize(size() + 1);
  for (const Activation& tensor : costs_->activations()) {
    for_crossings(tensor, [&](std::size_t cut, std::uint32_t) {
      ++next_reads_.starts[cut + 1];
      if (is_sent(tensor)) ++writes_.starts[cut + 1];
    });
  }
  for (Crossings* crossings : {&next_reads_, &writes_}) {
    std::partial_sum(crossings->starts.begin(), crossings->starts.end(), crossings->starts.begin());
    crossings->all.resize(crossings->starts.back());
  }
  auto read = next_reads_.starts;
  auto written = writes_.starts;
  for (const Activation& tensor : costs_->activations()) {
    for_crossings(tensor, [&](std::size_t cut, std::uint32_t next) {
      next_reads_.all[read[cut]++] = {next, tensor.bytes};
      if (is_sent(tensor))
        writes_.all[written[cut]++] = {positions_[tensor.writer], tensor.sent_bytes};
    });
  }
  sum_crossings(next_reads_, std::less<>{});
  sum_crossings(writes_, std::greater<>{});
}

// Sorts the crossings of each cut, and replaces bytes by prefix sums.
template <typename Compare>
void RangeStages::sum_crossings(Crossings& crossings, Compare compare) const {
  for (std::size_t cut = 0; cut < size(); ++cut) {
    const std::span of_cut =
        std::span(crossings.all)
            .subspan(crossings.starts[cut], crossings.starts[cut + 1] - crossings.starts[cut]);
    std::ranges::sort(of_cut, compare, &Crossing::operator_position);
    std::uint64_t bytes = 0;
    for (Crossing& crossing : of_cut) bytes = crossing.bytes += bytes;
  }
}

void RangeStages::gather_crowding() {
  for (const Activation& tensor : costs_->activations()) {
    for (const std::uint32_t op : tensor.crowded_readers) {
      const std::uint32_t reader = positions_[op];
      for (std::size_t cut = reader + 1; cut-- > first_cut_of(tensor);)
        next_crowded_[cut] = std::min(next_crowded_[cut], reader);
    }
  }
}

void RangeStages::gather_candidates() {
  const auto candidates = costs_->caching_order();
  ranks_.assign(order_.size(), kNone);
  least_bytes_from_.assign(candidates.size(), 0);
  ranked_.resize(candidates.size());
  for (std::size_t rank = candidates.size(); rank-- > 0;) {
    ranked_[rank] = positions_[index(candidates[rank].op)];
    ranks_[ranked_[rank]] = static_cast<std::uint32_t>(rank);
    least_bytes_from_[rank] = candidates[rank].footprint.bytes;
    if (rank + 1 < candidates.size())
      least_bytes_from_[rank] = std::min(least_bytes_from_[rank], least_bytes_from_[rank + 1]);
  }
  words_per_cut_ = bits::words_for(candidates.size());
  std::vector<std::uint64_t> before(words_per_cut_);
  for (std::size_t cut = 0; cut < size(); ++cut) {
    if (cut % kStep == 0) ranks_before_.insert(ranks_before_.end(), before.begin(), before.end());
    if (cut == order_.size() || ranks_[cut] == kNone) continue;
    bits::insert(before, ranks_[cut]);
  }
}

std::vector<OperatorId> RangeStages::operators(std::size_t from, std::size_t to) const {
  std::vector<OperatorId> result(order_.begin() + static_cast<std::ptrdiff_t>(from),
                                 order_.begin() + static_cast<std::ptrdiff_t>(to));
  std::ranges::sort(result);
  return result;
}

// Returns the bytes of tensors that the operators from `from` to `to` read and do not write.
std::uint64_t RangeStages::input_bytes(std::size_t from, std::size_t to) const {
  const auto begin =
      next_reads_.all.begin() + static_cast<std::ptrdiff_t>(next_reads_.starts[from]);
  const auto end =
      next_reads_.all.begin() + static_cast<std::ptrdiff_t>(next_reads_.starts[from + 1]);
  const auto beyond = std::partition_point(
      begin, end, [&](const Crossing& crossing) { return crossing.operator_position < to; });
  return beyond == begin ? 0 : std::prev(beyond)->bytes;
}

std::uint64_t RangeStages::output_bytes(std::size_t from, std::size_t to) const {
  const auto begin = writes_.all.begin() + static_cast<std::ptrdiff_t>(writes_.starts[to]);
  const auto end = writes_.all.begin() + static_cast<std::ptrdiff_t>(writes_.starts[to + 1]);
  const auto beyond = std::partition_point(
      begin, end, [&](const Crossing& crossing) { return crossing.operator_position >= from; });
  return (beyond == begin ? 0 : std::prev(beyond)->bytes) + model_output_bytes_[to] -
         model_output_bytes_[from];
}

// Returns the position of the operator that is last in the file.
std::uint32_t RangeStages::last_operator(std::size_t from, std::size_t to) const {
  const auto level = static_cast<std::size_t>(std::bit_width(to - from)) - 1;
  const std::uint32_t a = last_of_[level][from];
  const std::uint32_t b = last_of_[level][to - (std::size_t{1} << level)];
  return order_[a] < order_[b] ? b : a;
}

SegmentSum RangeStages::sum_without_spilling(std::size_t from, std::size_t to) const {
  SegmentSum sum = (sums_[to] - sums_[from]).segment();
  sum.input_bytes = input_bytes(from, to);
  sum.output_bytes = output_bytes(from, to);
  return sum;
}

std::uint64_t RangeStages::capacity(std::size_t from, std::size_t to) const {
  return parameter_capacity(costs_->device().memory, reserved_.rows(from, to));
}

bool RangeStages::spills(std::size_t from, std::size_t to) const {
  const std::uint64_t bytes = sums_[to].cached_bytes - sums_[from].cached_bytes;
  return bytes > costs_->smallest_capacity() && bytes > capacity(from, to);
}

bool RangeStages::may_take(std::size_t from, std::size_t to, std::int64_t longest_ns) const {
  if (bounds_.least_sum_ns(from, to, 1) > longest_ns) return false;
  const SegmentSum sum = sum_without_spilling(from, to);
  const std::int64_t least = sum.time(timing()).total().count();
  return least + (spills(from, to) ? bounds_.least_spill_ns(from, to) : 0) <= longest_ns;
}

std::size_t RangeStages::last_within(std::size_t from, std::int64_t longest_ns) const {
  std::size_t last = from;
  std::size_t beyond = size();
  while (beyond - last > 1) {
    const std::size_t to = std::midpoint(last, beyond);
    if (bounds_.least_sum_ns(from, to, 1) <= longest_ns) {
      last = to;
    } else {
      beyond = to;
    }
  }
  return last;
}

std::int64_t RangeStages::time_ns(std::size_t from, std::size_t to) const {
  SegmentSum sum = sum_without_spilling(from, to);
  if (spills(from, to)) add_spilled(from, to, sum);
  return sum.time(timing()).total().count();
}

// Visits ranks in ascending order until `visit` returns false.
template <typename Visit>
void RangeStages::for_each_rank(std::size_t from, std::size_t to, Visit visit) const {
  const std::size_t first = std::min((from + kStep - 1) / kStep * kStep, to);
  const std::size_t end = std::max(to / kStep * kStep, first);
  std::vector<std::uint32_t> others;  // outside whole steps
  const auto add = [&](std::size_t position) {
    if (ranks_[position] != kNone) others.push_back(ranks_[position]);
  };
  for (std::size_t i = from; i < first; ++i) add(i);
  for (std::size_t i = end; i < to; ++i) add(i);
  std::ranges::sort(others);
  auto other = others.begin();
  const auto visit_others = [&](std::uint32_t before) {
    while (other != others.end() && *other < before) {
      if (!visit(*other++)) return false;
    }
    return true;
  };
  if (first < end) {
    const std::uint64_t* below = ranks_before_.data() + first / kStep * words_per_cut_;
    const std::uint64_t* above = ranks_before_.data() + end / kStep * words_per_cut_;
    for (std::size_t w = 0; w < words_per_cut_; ++w) {
      for (bits::Word left = above[w] & ~below[w]; left != 0; left &= left - 1) {
        const auto rank = static_cast<std::uint32_t>(
            w * bits::kPerWord + static_cast<std::size_t>(std::countr_zero(left)));
        if (!visit_others(rank) || !visit(rank)) return;
      }
    }
  }
  (void)visit_others(kNone);
}

// Caches parameters in caching order until nothing more can fit. All others stream.
void RangeStages::add_spilled(std::size_t from, std::size_t to, SegmentSum& sum) const {
  const std::uint32_t last = last_operator(from, to);
  std::uint64_t left_bytes = capacity(from, to);
  bool keeps_last = !op_at(last).candidate;
  Streaming spilled = (sums_[to] - sums_[from]).spilled;
  for_each_rank(from, to, [&](std::uint32_t rank) {
    if (left_bytes < least_bytes_from_[rank]) return false;
    const OperatorFacts& op = op_at(ranked_[rank]);
    if (op.cached_bytes() > left_bytes) return true;
    left_bytes -= op.cached_bytes();
    spilled -= op.spilled;
    keeps_last |= ranked_[rank] == last;
    return true;
  });
  if (!keeps_last) {
    spilled -= op_at(last).spilled;
    spilled += costs_->spilled_last(index(order_[last]), next_crowded_[from] < to);
  }
  sum.add(spilled);
}

// A lower bound for the part of a stage between two cuts, without transfers.
std::int64_t RangeStages::least_ns_without_border(std::size_t from, std::size_t to) const {
  return costs_->fixed_ns() + bounds_.work_ns(to) - bounds_.work_ns(from) +
         bounds_.least_spill_ns(from, to) - WorkBounds::kRounding;
}

std::int64_t RangeStages::least_beginning_ns(std::size_t from, const IdealGap& gap) const {
  if (from == gap.below) return least_ns_without_border(from, from);
  return least_ns_without_border(from, gap.below) + costs_->input_ns(input_bytes(from, gap.below));
}

std::int64_t RangeStages::least_ending_ns(const IdealGap& gap, std::size_t to) const {
  if (to == gap.above) return least_ns_without_border(to, to);
  return least_ns_without_border(gap.above, to) + costs_->output_ns(output_bytes(gap.above, to));
}

std::int64_t RangeStages::least_between_ns(const IdealGap& gap, const IdealGap& later) const {
  return gap.below == later.below ? least_ns_without_border(gap.above, gap.above)
                                  : least_ns_without_border(gap.above, later.below);
}

}  // namespace segue
