#include "optimal/ideal_costs.h"

#include <algorithm>
#include <cmath>

#include "simulator/geometry.h"

namespace segue {

IdealCosts::IdealCosts(const Graph& graph, const IdealLattice& lattice, const DeviceSpec& device)
    : graph_(graph),
      lattice_(lattice),
      device_(device),
      operators_(graph.operator_count()),
      tensors_(graph.model().tensors().size()) {
  gather_operators();
  gather_tensors();
  fixed_ns_ = std::llround(device.timing.invoke_ns.value * device.timing.host_slowdown.value);
  cache_ns_ = link_ns(parameter_capacity(device.memory, 0)) + 1;
  for (std::size_t i = 0; i < lattice.size(); ++i) gather_ideal(i);
}

std::int64_t IdealCosts::link_ns(std::uint64_t bytes) const {
  return static_cast<std::int64_t>(static_cast<double>(bytes) /
                                   device_.timing.link_bytes_per_s.value * 1e9);
}

void IdealCosts::gather_operators() {
  const Model& model = graph_.model();
  for (std::size_t i = 0; i < operators_.size(); ++i) {
    const OperatorId id = operator_id(i);
    OperatorFacts& facts = operators_[i];
    facts.work = operator_work(model, id, device_);
    if (!is_supported_on_device(model, id) && compiler_ == nullptr)
      compiler_ = make_simulated_compiler(device_);
    if (const auto candidate = caching_candidate(model, id, device_)) {
      facts.cached_bytes = candidate->footprint.cached_bytes;
      facts.streamed_bytes = candidate->footprint.streamed_bytes;
      caching_order_.push_back(*candidate);
      continue;
    }
    facts.uncached_bytes = parameter_footprint(model, id, device_).streamed_bytes;
    facts.uncached =
        streaming(facts.work, facts.uncached_bytes, facts.work.crossings, device_.timing);
  }
  std::ranges::sort(caching_order_, is_cached_before);
}

void IdealCosts::gather_tensors() {
  const Model& model = graph_.model();
  for (std::size_t t = 0; t < tensors_.size(); ++t) {
    const auto writer = model.producer(tensor_id(t));
    tensors_[t].writer = writer ? index(*writer) : kNone;
    tensors_[t].bytes = model.tensors()[t].bytes;
    tensors_[t].sent_bytes = sent_bytes(model.tensors()[t], device_);
  }
  for (std::size_t i = 0; i < operators_.size(); ++i) {
    const auto& inputs = model.op(operator_id(i)).inputs;
    for (std::size_t k = 0; k < inputs.size(); ++k) {
      if (inputs[k] < 0) continue;
      const auto t = static_cast<std::size_t>(inputs[k]);
      if (model.tensors()[t].is_constant() || model.tensors()[t].is_variable) continue;
      auto& readers = tensors_[t].readers;
      if (readers.empty() || readers.back() != i) readers.push_back(i);
      if (k == 0 && input_crowds_tile(model, operator_id(i), device_.activations))
        tensors_[t].crowded_readers.push_back(i);
    }
  }
  for (const TensorId id : model.outputs()) {
    if (tensors_[index(id)].is_model_output || tensors_[index(id)].writer == kNone) continue;
    tensors_[index(id)].is_model_output = true;
    model_outputs_.push_back(index(id));
  }
}

void IdealCosts::gather_ideal(std::size_t ideal) {
  std::uint64_t cycles = 0;
  std::uint64_t cached = 0;
  std::uint64_t streamed = 0;
  std::uint64_t uncached = 0;
  std::int64_t uncached_ns = 0;
  for (std::size_t op = 0; op < operators_.size(); ++op) {
    if (!lattice_.contains(ideal, op)) continue;
    cycles += operators_[op].work.cycles;
    cached += operators_[op].cached_bytes;
    streamed += operators_[op].streamed_bytes;
    uncached += operators_[op].uncached_bytes;
    uncached_ns += operators_[op].uncached.added_ns;
  }
  cycles_.push_back(cycles);
  // Where some operators run on the host, their cycles are not the device's.
  const double clock_hz = device_.timing.clock_hz.value;
  compute_ns_.push_back(compiler_ != nullptr ? 0
                                             : static_cast<std::int64_t>(
                                                   static_cast<double>(cycles) / clock_hz * 1e9));
  stream_all_ns_.push_back(compiler_ != nullptr ? 0 : link_ns(streamed));
  cached_bytes_.push_back(cached);
  uncached_bytes_.push_back(uncached);
  uncached_ns_.push_back(uncached_ns);
  std::vector<std::uint32_t> crossing;
  for (std::size_t t = 0; t < tensors_.size(); ++t) {
    const TensorFacts& tensor = tensors_[t];
    if (tensor.writer != kNone && !lattice_.contains(ideal, tensor.writer)) continue;
    const auto is_outside = [&](std::size_t op) { return !lattice_.contains(ideal, op); };
    if (std::ranges::any_of(tensor.readers, is_outside))
      crossing.push_back(static_cast<std::uint32_t>(t));
  }
  crossing_.push_back(std::move(crossing));
}

void IdealCosts::add_border(std::size_t from, std::size_t to, SegmentSum& sum,
                            bool& is_crowded) const {
  const auto is_ours = [&](std::size_t op) { return is_inside(from, to, op); };
  for (const std::uint32_t t : crossing_[from]) {
    const TensorFacts& tensor = tensors_[t];
    if (!std::ranges::any_of(tensor.readers, is_ours)) continue;
    sum.input_bytes += tensor.bytes;
    is_crowded |= std::ranges::any_of(tensor.crowded_readers, is_ours);
  }
  for (const std::uint32_t t : crossing_[to]) {
    const TensorFacts& tensor = tensors_[t];
    if (tensor.writer != kNone && !tensor.is_model_output && is_ours(tensor.writer))
      sum.output_bytes += tensor.sent_bytes;
  }
  for (const std::size_t t : model_outputs_) {
    if (is_ours(tensors_[t].writer)) sum.output_bytes += tensors_[t].sent_bytes;
  }
}

void IdealCosts::add_spilled(std::size_t from, std::size_t to, std::uint64_t capacity,
                             bool is_crowded, SegmentSum& sum, std::uint64_t& host_bytes) const {
  const std::size_t last = lattice_.last_of_difference(from, to);
  std::uint64_t used = 0;
  for (const CachingCandidate& candidate : caching_order_) {
    const std::size_t op = index(candidate.op);
    if (!is_inside(from, to, op)) continue;
    if (used + candidate.footprint.cached_bytes <= capacity) {
      used += candidate.footprint.cached_bytes;
      continue;
    }
    const OperatorWork& work = operators_[op].work;
    const std::uint32_t times =
        is_crowded && op == last ? std::max(work.crossings, kCrowdedCrossings) : work.crossings;
    host_bytes += candidate.footprint.streamed_bytes;
    const Streaming streamed =
        streaming(work, candidate.footprint.streamed_bytes, times, device_.timing);
    if (op == last) sum.last_streaming_ns = streamed.hidden_ns;
    sum.add(streamed);
  }
}

IdealCosts::Cost IdealCosts::operator()(std::size_t from, std::size_t to) const {
  if (compiler_ != nullptr) {
    const auto operators = lattice_.difference(from, to);
    const MemoryReport report = compiler_->compile(graph_, operators);
    return {simulate_segment(graph_, operators, report, device_).total(), report.host_bytes};
  }
  SegmentSum sum;
  bool is_crowded = false;
  add_border(from, to, sum, is_crowded);
  sum.cycles = cycles_[to] - cycles_[from];
  const OperatorFacts& last = operators_[lattice_.last_of_difference(from, to)];
  sum.last_cycles = last.work.cycles;
  sum.last_streaming_ns = last.uncached.hidden_ns;
  sum.streaming_ns = uncached_ns_[to] - uncached_ns_[from];
  std::uint64_t host_bytes = uncached_bytes_[to] - uncached_bytes_[from];
  const std::uint64_t capacity = parameter_capacity(device_.memory, sum.input_bytes);
  if (cached_bytes_[to] - cached_bytes_[from] > capacity)
    add_spilled(from, to, capacity, is_crowded, sum, host_bytes);
  return {sum.time(device_.timing).total(), host_bytes};
}

std::int64_t IdealCosts::least_sum_ns() const {
  const std::size_t full = lattice_.size() - 1;
  const bool ends_in_its_output = compiler_ == nullptr && model_outputs_.size() == 1 &&
                                  tensors_[model_outputs_[0]].writer + 1 == operators_.size();
  if (!ends_in_its_output) return fixed_ns_ + compute_ns_[full];
  // The last operator is in the last stage, and so is all that its computation can hide.
  SegmentSum sum;
  bool is_crowded = false;
  add_border(0, full, sum, is_crowded);
  sum.cycles = cycles_[full];
  sum.last_cycles = operators_.back().work.cycles;
  sum.last_streaming_ns = operators_.back().uncached.hidden_ns;
  sum.streaming_ns = uncached_ns_[full];
  return sum.time(device_.timing).total().count();
}

}  // namespace segue
