#include "optimal/ideal_costs.h"

#include <algorithm>
#include <bit>

namespace segue {
namespace {

constexpr std::size_t kWordBits = 64;

}  // namespace

IdealCosts::IdealCosts(const Graph& graph, const IdealLattice& lattice, const DeviceSpec& device)
    : graph_(graph), lattice_(lattice), device_(device), operators_(graph.operator_count()) {
  gather_operators();
  gather_tensors();
  words_per_ideal_ = (caching_order_.size() + kWordBits - 1) / kWordBits;
  for (std::size_t i = 0; i < lattice.size(); ++i) {
    gather_ideal(i);
    gather_border(i);
  }
}

void IdealCosts::gather_operators() {
  const Model& model = graph_.model();
  for (std::size_t i = 0; i < operators_.size(); ++i) {
    const OperatorId id = operator_id(i);
    operators_[i] = operator_facts(model, id, device_);
    is_supported_.push_back(is_supported_on_device(model, id));
    has_host_ |= !is_supported_[i];
    // What follows an operator on the host may have to stay there.
    may_run_on_host_.push_back(!is_supported_[i] ||
                               std::ranges::any_of(graph_.writers(id), [&](OperatorId writer) {
                                 return may_run_on_host_[index(writer)];
                               }));
    host_ns_.push_back(may_run_on_host_[i] ? host_operator_time(graph_, id, device_).count() : 0);
    if (operators_[i].candidate) caching_order_.push_back(*operators_[i].candidate);
  }
  std::ranges::sort(caching_order_, is_cached_before);
}

void IdealCosts::gather_tensors() {
  const Model& model = graph_.model();
  std::vector<std::size_t> position(model.tensors().size(), kNone);
  for (std::size_t t = 0; t < position.size(); ++t) {
    const Tensor& tensor = model.tensors()[t];
    if (tensor.is_constant() || tensor.is_variable) continue;
    position[t] = tensors_.size();
    TensorFacts& facts = tensors_.emplace_back();
    const auto writer = model.producer(tensor_id(t));
    facts.writer = writer ? index(*writer) : kNone;
    facts.bytes = tensor.bytes;
    facts.sent_bytes = sent_bytes(tensor, device_);
  }
  reads_.resize(operators_.size());
  writes_.resize(operators_.size());
  for (std::size_t t = 0; t < tensors_.size(); ++t) {
    if (tensors_[t].writer != kNone)
      writes_[tensors_[t].writer].push_back(static_cast<std::uint32_t>(t));
  }
  for (std::size_t i = 0; i < operators_.size(); ++i) {
    const auto& inputs = model.op(operator_id(i)).inputs;
    for (std::size_t k = 0; k < inputs.size(); ++k) {
      if (inputs[k] < 0) continue;
      const std::size_t t = position[static_cast<std::size_t>(inputs[k])];
      if (t == kNone) continue;
      auto& readers = tensors_[t].readers;
      if (k == 0 && operators_[i].crowds_tile) tensors_[t].crowded_readers.push_back(i);
      if (!readers.empty() && readers.back() == i) continue;
      readers.push_back(i);
      reads_[i].push_back(static_cast<std::uint32_t>(t));
    }
  }
  for (const TensorId id : model.outputs()) {
    const std::size_t t = position[index(id)];
    if (t == kNone || tensors_[t].is_model_output || tensors_[t].writer == kNone) continue;
    tensors_[t].is_model_output = true;
    model_outputs_.push_back(t);
  }
}

void IdealCosts::gather_ideal(std::size_t ideal) {
  IdealSums& sums = sums_.emplace_back();
  for (std::size_t op = 0; op < operators_.size(); ++op) {
    if (!lattice_.contains(ideal, op)) continue;
    sums.add(operators_[op]);
    if (!is_supported_[op]) ++sums.unsupported;
  }
  candidates_.resize(candidates_.size() + words_per_ideal_);
  IdealLattice::Word* words = candidates_.data() + ideal * words_per_ideal_;
  for (std::size_t c = 0; c < caching_order_.size(); ++c) {
    if (lattice_.contains(ideal, index(caching_order_[c].op)))
      words[c / kWordBits] |= IdealLattice::Word{1} << (c % kWordBits);
  }
}

void IdealCosts::gather_border(std::size_t ideal) {
  Border& border = borders_.emplace_back();
  border.readers.resize(lattice_.words(ideal).size());
  for (std::size_t t = 0; t < tensors_.size(); ++t) {
    const TensorFacts& tensor = tensors_[t];
    if (tensor.writer != kNone && !lattice_.contains(ideal, tensor.writer)) continue;
    if (tensor.is_model_output) border.model_output_bytes += tensor.sent_bytes;
    bool crosses = false;
    for (const std::size_t reader : tensor.readers) {
      if (lattice_.contains(ideal, reader)) continue;
      crosses = true;
      border.readers[reader / kWordBits] |= IdealLattice::Word{1} << (reader % kWordBits);
    }
    if (!crosses) continue;
    border.tensors.push_back(static_cast<std::uint32_t>(t));
    border.input_bytes += tensor.bytes;
    border.is_crowded |= std::ranges::any_of(
        tensor.crowded_readers, [&](std::size_t op) { return !lattice_.contains(ideal, op); });
    if (tensor.writer != kNone && !tensor.is_model_output) border.output_bytes += tensor.sent_bytes;
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
    const TensorFacts& tensor = tensors_[t];
    if (!std::ranges::any_of(tensor.readers, is_ours)) continue;
    sum.input_bytes += tensor.bytes;
    is_crowded |= std::ranges::any_of(tensor.crowded_readers, is_ours);
  }
  for (const std::uint32_t t : end.tensors) {
    const TensorFacts& tensor = tensors_[t];
    if (tensor.writer != kNone && !tensor.is_model_output && is_ours(tensor.writer))
      sum.output_bytes += tensor.sent_bytes;
  }
}

// In the order of caching; only what does not fit adds to the sum.
void IdealCosts::take(const CachingCandidate& candidate, Cache& cache, SegmentSum& sum,
                      std::uint64_t& host_bytes) const {
  if (candidate.footprint.cached_bytes <= cache.left_bytes) {
    cache.left_bytes -= candidate.footprint.cached_bytes;
    return;
  }
  const std::size_t op = index(candidate.op);
  host_bytes += candidate.footprint.streamed_bytes;
  Streaming streamed = operators_[op].spilled;
  if (op == cache.last) {
    const OperatorWork& work = operators_[op].work;
    if (cache.is_crowded)
      streamed = streaming(work, candidate.footprint.streamed_bytes,
                           std::max(work.crossings, kCrowdedCrossings), device_.timing);
    sum.last_streaming_ns = streamed.hidden_ns;
  }
  sum.add(streamed);
}

IdealCosts::Cost IdealCosts::operator()(std::size_t from, std::size_t to) const {
  if (sums_[to].unsupported != sums_[from].unsupported) return Row(*this, from)(to);
  SegmentSum sum;
  bool is_crowded = false;
  add_border(from, to, sum, is_crowded);
  const IdealSums& below = sums_[from];
  const IdealSums& above = sums_[to];
  sum.cycles = above.cycles - below.cycles;
  const std::size_t last = lattice_.last_of_difference(from, to);
  sum.last_cycles = operators_[last].work.cycles;
  sum.last_streaming_ns = operators_[last].uncached.hidden_ns;
  sum.streaming_ns = above.uncached.added_ns - below.uncached.added_ns;
  sum.hidden_streaming_ns = above.uncached.hidden_ns - below.uncached.hidden_ns;
  std::uint64_t host_bytes = above.uncached_bytes - below.uncached_bytes;
  Cache cache{parameter_capacity(device_.memory, sum.input_bytes), last, is_crowded};
  if (above.cached_bytes - below.cached_bytes > cache.left_bytes) {
    for (std::size_t w = 0; w < words_per_ideal_; ++w) {
      IdealLattice::Word left =
          candidates_[to * words_per_ideal_ + w] & ~candidates_[from * words_per_ideal_ + w];
      for (; left != 0; left &= left - 1)
        take(caching_order_[w * kWordBits + static_cast<std::size_t>(std::countr_zero(left))],
             cache, sum, host_bytes);
    }
  }
  return to_cost(sum.time(device_.timing), host_bytes);
}

std::int64_t fixed_ns(const DeviceSpec& device) {
  return to_whole_ns(device.timing.invoke_ns.value * device.timing.host_slowdown.value);
}

IdealCosts::OperatorBound operator_bound(const OperatorFacts& op, const DeviceSpec& device) {
  const double compute_ns =
      static_cast<double>(op.work.cycles) / device.timing.clock_hz.value * 1e9;
  return {static_cast<std::int64_t>(compute_ns) + op.uncached.added_ns, op.spilled.added_ns,
          op.cached_bytes()};
}

IdealCosts::OperatorBound IdealCosts::bound(std::size_t op) const {
  OperatorBound bound = operator_bound(operators_[op], device_);
  if (!may_run_on_host_[op]) return bound;
  // On the host, its parameters are not streamed.
  bound.spill_ns = 0;
  bound.work_ns = is_supported_[op] ? std::min(bound.work_ns, host_ns_[op]) : host_ns_[op];
  return bound;
}

std::int64_t IdealCosts::least_fixed_ns() const { return has_host_ ? 0 : fixed_ns(); }

std::int64_t IdealCosts::input_time_ns(std::uint64_t bytes) const {
  return SegmentSum{.input_bytes = bytes}.time(device_.timing).input.count();
}

std::int64_t IdealCosts::output_time_ns(std::uint64_t bytes) const {
  const auto output_ns =
      static_cast<double>(SegmentSum{.output_bytes = bytes}.time(device_.timing).output.count());
  return static_cast<std::int64_t>(output_ns * device_.timing.exposed_share.value);
}

std::int64_t IdealCosts::input_ns(std::size_t ideal) const {
  return has_host_ ? 0 : input_time_ns(borders_[ideal].input_bytes);
}

std::int64_t IdealCosts::output_ns(std::size_t ideal) const {
  return has_host_ ? 0 : output_time_ns(borders_[ideal].output_bytes);
}

bool IdealCosts::may_run_on_host(std::size_t from, std::size_t to) const {
  for (std::size_t op = 0; has_host_ && op < operators_.size(); ++op) {
    if (may_run_on_host_[op] && is_inside(from, to, op)) return true;
  }
  return false;
}

std::int64_t IdealCosts::least_beginning_ns(std::size_t from, std::size_t to) const {
  return Row(*this, from).least_beginning_ns(to);
}

std::int64_t IdealCosts::least_ending_ns(std::size_t from, std::size_t to) const {
  return Row(*this, from).least_ending_ns(to);
}

std::uint64_t IdealCosts::largest_capacity() const { return parameter_capacity(device_.memory, 0); }

std::int64_t IdealCosts::least_sum_ns() const {
  if (has_host_) return 0;
  const std::size_t full = lattice_.size() - 1;
  SegmentSum sum;
  sum.cycles = sums_[full].cycles;
  sum.streaming_ns = sums_[full].uncached.added_ns;
  const bool ends_in_its_output =
      model_outputs_.size() == 1 && tensors_[model_outputs_[0]].writer + 1 == operators_.size();
  if (ends_in_its_output) {
    // The last operator is in the last stage, and so is all that its computation can hide.
    bool is_crowded = false;
    add_border(0, full, sum, is_crowded);
    sum.last_cycles = operators_.back().work.cycles;
    sum.last_streaming_ns = operators_.back().uncached.hidden_ns;
  }
  return sum.time(device_.timing).total().count();
}

}  // namespace segue
