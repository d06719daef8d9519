// Costs of segments with operators on the host, each computed from the previous one.
#include <algorithm>
#include <bit>

#include "planner/optimal/bits.h"
#include "planner/optimal/ideal_costs.h"

namespace segue {

bool IdealCosts::Row::is_ours(std::size_t op) const {
  return op != SegmentCosts::kNone && bits::has(ours_, op);
}

// Applies the rule of operators_on_host: the host runs unsupported operators, and operators that
// depend on one of them once the device has started.
void IdealCosts::Row::begin() {
  const std::size_t count = costs_.operators().size();
  std::vector<bool> has_device_before(count);
  on_device_.resize(ideals_.lattice_.words(from_).size());
  ours_.resize(on_device_.size());
  theirs_.resize(on_device_.size());
  readers_.resize(costs_.activations().size());
  for (std::size_t op = 0; op < count; ++op) {
    if (ideals_.lattice_.contains(from_, op)) continue;
    bool is_on_device = costs_.is_supported(op);
    for (const OperatorId id : costs_.graph().writers(operator_id(op))) {
      const std::size_t writer = index(id);
      if (ideals_.lattice_.contains(from_, writer)) continue;
      const bool before = has_device_before[writer];
      if (before || bits::has(on_device_, writer)) has_device_before[op] = true;
      if (before && !bits::has(on_device_, writer)) is_on_device = false;
    }
    if (is_on_device) bits::flip(on_device_, op);
  }
}

void IdealCosts::Row::go_to(std::size_t to) {
  const auto below = ideals_.lattice_.words(from_);
  const auto above = ideals_.lattice_.words(to);
  for (std::size_t w = 0; w < ours_.size(); ++w) {
    const Word on_host = above[w] & ~below[w] & ~on_device_[w];
    bits::for_each(theirs_[w] & ~on_host, w,
                   [&](std::size_t op) { host_ns_ -= costs_.host_ns(op); });
    bits::for_each(on_host & ~theirs_[w], w,
                   [&](std::size_t op) { host_ns_ += costs_.host_ns(op); });
    theirs_[w] = on_host;
    const Word wanted = above[w] & on_device_[w];
    bits::for_each(ours_[w] & ~wanted, w, [&](std::size_t op) { remove(op); });
    bits::for_each(wanted & ~ours_[w], w, [&](std::size_t op) { add(op); });
  }
}

// Adds or removes the outputs of an operator at the border, regardless of which readers are in the
// segment.
void IdealCosts::Row::count_writes(std::size_t op, bool is_added) {
  for (const std::uint32_t t : costs_.writes(op)) {
    const Activation& tensor = costs_.activations()[t];
    const std::uint64_t read = readers_[t] > 0 ? tensor.bytes : 0;
    const std::uint64_t sent = leaves(tensor, readers_[t]) ? tensor.sent_bytes : 0;
    const auto crowded = static_cast<std::uint32_t>(std::ranges::count_if(
        tensor.crowded_readers, [&](std::size_t reader) { return is_ours(reader); }));
    // Unsigned arithmetic: what was added is subtracted again, so sums do not wrap around.
    input_bytes_ += is_added ? -read : read;
    output_bytes_ += is_added ? sent : -sent;
    crowded_ += is_added ? -crowded : crowded;
  }
}

void IdealCosts::Row::add(std::size_t op) {
  bits::flip(ours_, op);
  sums_ += costs_.operators()[op].sums();
  for (const std::uint32_t t : costs_.reads(op)) {
    const Activation& tensor = costs_.activations()[t];
    if (is_ours(tensor.writer)) {
      if (leaves(tensor, readers_[t]) && !leaves(tensor, readers_[t] + 1))
        output_bytes_ -= tensor.sent_bytes;
    } else {
      if (readers_[t] == 0) input_bytes_ += tensor.bytes;
      if (std::ranges::find(tensor.crowded_readers, op) != tensor.crowded_readers.end()) ++crowded_;
    }
    ++readers_[t];
  }
  count_writes(op, true);
}

void IdealCosts::Row::remove(std::size_t op) {
  count_writes(op, false);
  for (const std::uint32_t t : costs_.reads(op)) {
    const Activation& tensor = costs_.activations()[t];
    --readers_[t];
    if (is_ours(tensor.writer)) {
      if (leaves(tensor, readers_[t]) && !leaves(tensor, readers_[t] + 1))
        output_bytes_ += tensor.sent_bytes;
    } else {
      if (readers_[t] == 0) input_bytes_ -= tensor.bytes;
      if (std::ranges::find(tensor.crowded_readers, op) != tensor.crowded_readers.end()) --crowded_;
    }
  }
  sums_ -= costs_.operators()[op].sums();
  bits::flip(ours_, op);
}

IdealCosts::Cost IdealCosts::Row::operator()(std::size_t to) {
  if (ideals_.sums_[to].unsupported == ideals_.sums_[from_].unsupported) return ideals_(from_, to);
  if (ours_.empty()) begin();
  go_to(to);
  std::size_t w = ours_.size();
  while (w > 0 && ours_[w - 1] == 0) --w;
  const std::int64_t host_ns = std::min(host_ns_, SegmentSum::kLongest);
  if (w == 0) return {.time_ns = host_ns};
  const std::size_t last =
      w * bits::kPerWord - 1 - static_cast<std::size_t>(std::countl_zero(ours_[w - 1]));
  SegmentSum sum = sums_.segment();
  sum.input_bytes = input_bytes_;
  sum.output_bytes = output_bytes_;
  std::uint64_t host_bytes = sums_.uncached_bytes;
  const auto is_in_segment = [&](std::size_t op) { return is_ours(op); };
  Cache cache{costs_.capacity(is_in_segment), last, crowded_ > 0};
  if (sums_.cached_bytes > cache.left_bytes) {
    for (const CachingCandidate& candidate : costs_.caching_order()) {
      if (is_ours(index(candidate.op))) ideals_.take(candidate, cache, sum, host_bytes);
    }
  }
  Cost cost = to_cost(sum.time(costs_.device().timing), host_bytes);
  cost.time_ns += host_ns;
  return cost;
}

// Operators on the host and inputs do not depend on where the stage ends.
std::int64_t IdealCosts::Row::least_beginning_ns(std::size_t to) {
  if (ours_.empty()) begin();
  go_to(to);
  SegmentSum sum = sums_.segment();
  sum.input_bytes = input_bytes_;
  const bool has_device = std::ranges::any_of(ours_, [](Word word) { return word != 0; });
  return host_ns_ + (has_device ? sum.time(costs_.device().timing).total().count() : 0);
}

// If the stage begins earlier, the host may run more operators, but not fewer.
std::int64_t IdealCosts::Row::least_ending_ns(std::size_t to) {
  if (ours_.empty()) begin();
  go_to(to);
  std::int64_t least = host_ns_;
  bool is_certain = true;
  for (std::size_t w = 0; w < ours_.size(); ++w) {
    bits::for_each(ours_[w], w, [&](std::size_t op) {
      least += costs_.bound(op).work_ns;
      is_certain &= !costs_.may_run_on_host(op);
    });
  }
  return least + (is_certain ? costs_.output_ns(output_bytes_) : 0);
}

}  // namespace segue
