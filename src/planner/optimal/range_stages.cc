#include "planner/optimal/range_stages.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>
#include <utility>

namespace segue {
namespace {

constexpr std::size_t kMostCrossings = 8'000'000;
// Limits the memory of ranks_before_. Ranks of up to 15 positions outside a range are skipped.
constexpr std::size_t kStep = 16;
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
  gather_candidates();
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
    const auto of_cut =
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
  words_per_step_ = bits::words_for(candidates.size());
  ranks_before_.resize((size() / kStep + 2) * words_per_step_);
  least_bytes_from_.assign(candidates.size() + 1, std::numeric_limits<std::uint64_t>::max());
  ranked_.resize(candidates.size());
  for (std::size_t rank = candidates.size(); rank-- > 0;) {
    ranked_[rank] = positions_[index(candidates[rank].op)];
    least_bytes_from_[rank] =
        std::min(least_bytes_from_[rank + 1], candidates[rank].footprint.bytes);
    const std::size_t first_step = ranked_[rank] / kStep + 1;
    bits::insert(std::span(ranks_before_).subspan(first_step * words_per_step_), rank);
  }
  for (std::size_t i = words_per_step_; i < ranks_before_.size(); ++i)
    ranks_before_[i] |= ranks_before_[i - words_per_step_];
}

std::vector<OperatorId> RangeStages::operators(std::size_t from, std::size_t to) const {
  std::vector<OperatorId> result(order_.begin() + static_cast<std::ptrdiff_t>(from),
                                 order_.begin() + static_cast<std::ptrdiff_t>(to));
  std::ranges::sort(result);
  return result;
}

// Returns the bytes of tensors that the operators from `from` to `to` read and do not write.
std::uint64_t RangeStages::input_bytes(std::size_t from, std::size_t to) const {
  return next_reads_.bytes_while(from, [&](std::uint32_t reader) { return reader < to; });
}

std::uint64_t RangeStages::output_bytes(std::size_t from, std::size_t to) const {
  return writes_.bytes_while(to, [&](std::uint32_t writer) { return writer >= from; }) +
         model_output_bytes_[to] - model_output_bytes_[from];
}

SegmentSum RangeStages::sum_without_spilling(std::size_t from, std::size_t to) const {
  SegmentSum sum = (sums_[to] - sums_[from]).segment();
  sum.input_bytes = input_bytes(from, to);
  sum.output_bytes = output_bytes(from, to);
  return sum;
}

bool RangeStages::may_take(std::size_t from, std::size_t to, std::int64_t longest_ns) const {
  if (bounds_.least_sum_ns(from, to, 1) > longest_ns) return false;
  const SegmentSum sum = sum_without_spilling(from, to);
  // Nothing has to spill if all parameters fit: the knapsack of the bound then holds them all.
  return sum.time(timing()).total().count() + bounds_.least_spill_ns(from, to) <= longest_ns;
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
  const std::uint64_t cached_bytes = sums_[to].cached_bytes - sums_[from].cached_bytes;
  if (cached_bytes > costs_->smallest_capacity()) {
    const std::uint64_t capacity = costs_->capacity(
        [&](std::size_t op) { return from <= positions_[op] && positions_[op] < to; });
    if (cached_bytes > capacity) add_spilled(from, to, capacity, sum);
  }
  return sum.time(timing()).total().count();
}

// Caches parameters in caching order until nothing more can fit. All others stream.
void RangeStages::add_spilled(std::size_t from, std::size_t to, std::uint64_t left_bytes,
                              SegmentSum& sum) const {
  const std::uint32_t last =
      positions_[index(*std::ranges::max_element(std::span(order_).subspan(from, to - from)))];
  bool keeps_last = !op_at(last).candidate;
  Streaming spilled = (sums_[to] - sums_[from]).spilled;
  const auto take = [&](std::size_t rank) {
    const std::uint32_t position = ranked_[rank];
    const OperatorFacts& op = op_at(position);
    if (position < from || position >= to || op.cached_bytes() > left_bytes) return;
    left_bytes -= op.cached_bytes();
    spilled -= op.spilled;
    keeps_last |= position == last;
  };
  const auto before = ranks_before(from / kStep);
  const auto at_end = ranks_before((to + kStep - 1) / kStep);
  for (std::size_t w = 0; w < words_per_step_; ++w) {
    if (left_bytes < least_bytes_from_[w * bits::kPerWord]) break;
    bits::for_each(at_end[w] & ~before[w], w, take);
  }
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
