#include "planner/optimal/ideal_costs.h"

#include <algorithm>

#include "planner/optimal/bits.h"
#include "segue/stop.h"

namespace segue {

IdealCosts::IdealCosts(const SegmentCosts& costs, const IdealLattice& lattice)
    : costs_(costs),
      lattice_(lattice),
      words_per_ideal_(bits::words_for(costs.caching_order().size())) {
  for (std::size_t i = 0; i < lattice.size(); ++i) {
    check_stopped();
    gather_ideal(i);
    gather_border(i);
  }
}

void IdealCosts::gather_ideal(std::size_t ideal) {
  OperatorSums& sums = sums_.emplace_back();
  for (std::size_t op = 0; op < costs_.operators().size(); ++op) {
    if (lattice_.contains(ideal, op)) sums += costs_.operators()[op].sums();
  }
  candidates_.resize(candidates_.size() + words_per_ideal_);
  const auto words = std::span(candidates_).subspan(ideal * words_per_ideal_);
  for (std::size_t c = 0; c < costs_.caching_order().size(); ++c) {
    if (lattice_.contains(ideal, index(costs_.caching_order()[c].op))) bits::insert(words, c);
  }
}

void IdealCosts::gather_border(std::size_t ideal) {
  Border& border = borders_.emplace_back();
  border.readers.resize(lattice_.words(ideal).size());
  for (std::size_t t = 0; t < costs_.activations().size(); ++t) {
    const Activation& tensor = costs_.activations()[t];
    if (tensor.writer != SegmentCosts::kNone && !lattice_.contains(ideal, tensor.writer)) continue;
    if (tensor.is_model_output) border.model_output_bytes += tensor.sent_bytes;
    bool crosses = false;
    for (const std::size_t reader : tensor.readers) {
      if (lattice_.contains(ideal, reader)) continue;
      crosses = true;
      bits::insert(border.readers, reader);
    }
    if (!crosses) continue;
    border.tensors.push_back(static_cast<std::uint32_t>(t));
    border.input_bytes += tensor.bytes;
    border.is_crowded |= std::ranges::any_of(
        tensor.crowded_readers, [&](std::size_t op) { return !lattice_.contains(ideal, op); });
    if (tensor.writer != SegmentCosts::kNone && !tensor.is_model_output)
      border.output_bytes += tensor.sent_bytes;
  }
}

bool IdealCosts::reads_all(std::size_t from, std::size_t to) const {
  const auto above = lattice_.words(to);
  const auto& readers = borders_[from].readers;
  for (std::size_t w = 0; w < above.size(); ++w) {
    if ((readers[w] & ~above[w]) != 0) return false;
  }
  return true;
}

void IdealCosts::add_border(std::size_t from, std::size_t to, SegmentSum& sum,
                            bool& is_crowded) const {
  const Border& begin = borders_[from];
  const Border& end = borders_[to];
  sum.output_bytes += end.model_output_bytes - begin.model_output_bytes;
  if (reads_all(from, to)) {
    sum.input_bytes += begin.input_bytes;
    sum.output_bytes += end.output_bytes;
    is_crowded |= begin.is_crowded;
    return;
  }
  const auto is_ours = [&](std::size_t op) { return is_inside(from, to, op); };
  for (const std::uint32_t t : begin.tensors) {
    const Activation& tensor = costs_.activations()[t];
    if (!std::ranges::any_of(tensor.readers, is_ours)) continue;
    sum.input_bytes += tensor.bytes;
    is_crowded |= std::ranges::any_of(tensor.crowded_readers, is_ours);
  }
  for (const std::uint32_t t : end.tensors) {
    const Activation& tensor = costs_.activations()[t];
    if (tensor.writer != SegmentCosts::kNone && !tensor.is_model_output && is_ours(tensor.writer))
      sum.output_bytes += tensor.sent_bytes;
  }
}

// Called in caching order. Only parameters that do not fit add to the sum.
void IdealCosts::take(const CachingCandidate& candidate, Cache& cache, SegmentSum& sum,
                      std::uint64_t& host_bytes) const {
  if (candidate.footprint.bytes <= cache.left_bytes) {
    cache.left_bytes -= candidate.footprint.bytes;
    return;
  }
  const std::size_t op = index(candidate.op);
  host_bytes += candidate.footprint.bytes;
  sum.add(op == cache.last ? costs_.spilled_last(op, cache.is_crowded)
                           : costs_.operators()[op].spilled);
}

IdealCosts::Cost IdealCosts::operator()(std::size_t from, std::size_t to) const {
  if (!costs_.are_sums()) {
    const SegmentCosts::Asked asked = costs_.ask(lattice_.difference(from, to));
    return to_cost(asked.time, asked.host_bytes);
  }
  const OperatorSums sums = sums_[to] - sums_[from];
  if (sums.unsupported > 0) return Row(*this, from)(to);
  SegmentSum sum = sums.segment();
  bool is_crowded = false;
  add_border(from, to, sum, is_crowded);
  std::uint64_t host_bytes = sums.uncached_bytes;
  if (sums.cached_bytes <= costs_.smallest_capacity())
    return to_cost(sum.time(costs_.device().timing), host_bytes);
  const auto is_ours = [&](std::size_t op) { return is_inside(from, to, op); };
  Cache cache{costs_.capacity(is_ours), lattice_.last_of_difference(from, to), is_crowded};
  if (sums.cached_bytes > cache.left_bytes) {
    for (std::size_t w = 0; w < words_per_ideal_; ++w) {
      bits::for_each(
          candidates_[to * words_per_ideal_ + w] & ~candidates_[from * words_per_ideal_ + w], w,
          [&](std::size_t c) { take(costs_.caching_order()[c], cache, sum, host_bytes); });
    }
  }
  return to_cost(sum.time(costs_.device().timing), host_bytes);
}

std::int64_t IdealCosts::least_fixed_ns() const {
  return costs_.has_host() ? 0 : costs_.fixed_ns();
}

std::int64_t IdealCosts::input_ns(std::size_t ideal) const {
  return costs_.has_host() ? 0 : costs_.input_ns(borders_[ideal].input_bytes);
}

std::int64_t IdealCosts::output_ns(std::size_t ideal) const {
  return costs_.has_host() ? 0 : costs_.output_ns(borders_[ideal].output_bytes);
}

bool IdealCosts::may_run_on_host(std::size_t from, std::size_t to) const {
  for (std::size_t op = 0; costs_.has_host() && op < costs_.operators().size(); ++op) {
    if (costs_.may_run_on_host(op) && is_inside(from, to, op)) return true;
  }
  return false;
}

std::int64_t IdealCosts::least_beginning_ns(std::size_t from, std::size_t to) const {
  if (!costs_.are_sums()) return 0;
  return Row(*this, from).least_beginning_ns(to);
}

std::int64_t IdealCosts::least_ending_ns(std::size_t from, std::size_t to) const {
  if (!costs_.are_sums()) return 0;
  return Row(*this, from).least_ending_ns(to);
}

std::int64_t IdealCosts::least_sum_ns() const {
  if (costs_.has_host() || !costs_.are_sums()) return 0;
  const std::size_t full = lattice_.size() - 1;
  SegmentSum sum = sums_[full].segment();
  bool is_crowded = false;
  add_border(0, full, sum, is_crowded);
  return sum.time(costs_.device().timing).total().count();
}

}  // namespace segue
