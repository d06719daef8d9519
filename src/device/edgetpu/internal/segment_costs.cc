#include "device/edgetpu/internal/segment_costs.h"

#include <algorithm>

namespace segue {

SegmentCosts::SegmentCosts(const Graph& graph, const DeviceSpec& device)
    : graph_(&graph),
      device_(&device),
      operators_(graph.operator_count()),
      may_run_on_host_(graph.operator_count()),
      host_ns_(graph.operator_count()) {
  if (device.model != &edgetpu_model()) {
    gather_least_times();
    return;
  }
  may_run_on_host_ = possible_host_operators(graph);
  gather_operators();
  gather_activations();
}

void SegmentCosts::gather_least_times() {
  compiler_ = device_->model->compiler(*device_);
  for (std::size_t i = 0; i < operators_.size(); ++i)
    least_ns_.push_back(device_->model->least_time(*graph_, operator_id(i), *device_).count());
}

SegmentCosts::Asked SegmentCosts::ask(std::span<const OperatorId> operators) const {
  const MemoryReport memory = compiler_->compile(*graph_, operators);
  return {device_->model->time(*graph_, operators, memory, *device_), memory.host_bytes};
}

void SegmentCosts::gather_operators() {
  const Model& model = graph_->model();
  const auto least = static_cast<std::uint32_t>(device_->memory.least_reserved_rows.value);
  for (std::size_t i = 0; i < operators_.size(); ++i) {
    const OperatorId id = operator_id(i);
    operators_[i] = operator_facts(model, id, *device_);
    has_host_ |= !operators_[i].is_supported;
    if (may_run_on_host_[i]) host_ns_[i] = host_operator_time(*graph_, id, *device_).count();
    if (operators_[i].candidate) caching_order_.push_back(*operators_[i].candidate);
    const auto [inside, at_input] = reserved_rows(model, id, *device_);
    const auto op = static_cast<std::uint32_t>(i);
    if (inside > least) reserves_.push_back({inside, op, false});
    if (at_input > std::max(inside, least)) reserves_.push_back({at_input, op, true});
  }
  std::ranges::sort(caching_order_, is_cached_before);
  std::ranges::stable_sort(reserves_, std::ranges::greater{}, &Reserve::rows);
}

void SegmentCosts::gather_activations() {
  const Model& model = graph_->model();
  std::vector<std::size_t> position(model.tensors().size(), kNone);
  reads_.resize(operators_.size());
  writes_.resize(operators_.size());
  for (std::size_t t = 0; t < position.size(); ++t) {
    const Tensor& tensor = model.tensors()[t];
    if (tensor.is_constant() || tensor.is_variable) continue;
    position[t] = activations_.size();
    Activation& activation = activations_.emplace_back();
    activation.bytes = tensor.bytes;
    activation.sent_bytes = sent_bytes(tensor, *device_);
    const auto writer = model.producer(tensor_id(t));
    activation.writer = writer ? index(*writer) : kNone;
    if (writer) writes_[index(*writer)].push_back(static_cast<std::uint32_t>(position[t]));
  }
  for (std::size_t i = 0; i < operators_.size(); ++i) {
    const auto op = static_cast<std::uint32_t>(i);
    const auto& inputs = model.op(operator_id(i)).inputs;
    for (std::size_t k = 0; k < inputs.size(); ++k) {
      if (inputs[k] < 0) continue;
      const std::size_t t = position[static_cast<std::size_t>(inputs[k])];
      if (t == kNone) continue;
      Activation& activation = activations_[t];
      if (k == 0 && operators_[i].crowds_tile) activation.crowded_readers.push_back(op);
      if (!activation.readers.empty() && activation.readers.back() == op) continue;
      activation.readers.push_back(op);
      reads_[i].push_back(static_cast<std::uint32_t>(t));
    }
  }
  for (const TensorId id : model.outputs()) {
    const std::size_t t = position[index(id)];
    if (t != kNone && activations_[t].writer != kNone) activations_[t].is_model_output = true;
  }
}

OperatorBound SegmentCosts::bound(std::size_t op) const {
  if (!are_sums()) return {.work_ns = least_ns_[op]};
  const OperatorFacts& facts = operators_[op];
  // The parts are not rounded separately, so that sums over operators are exact up to rounding.
  const double compute_ns =
      static_cast<double>(facts.work.cycles) / device_->timing.clock_hz.value * 1e9 +
      static_cast<double>(facts.work.instruction_bytes) * instruction_ns_per_byte();
  OperatorBound bound{static_cast<std::int64_t>(compute_ns) + facts.uncached.added_ns,
                      facts.spilled.added_ns, facts.cached_bytes()};
  if (!may_run_on_host_[op]) return bound;
  // If it runs on the host, its parameters do not stream.
  bound.spill_ns = 0;
  bound.work_ns = facts.is_supported ? std::min(bound.work_ns, host_ns_[op]) : host_ns_[op];
  return bound;
}

std::int64_t SegmentCosts::fixed_ns() const {
  if (!are_sums()) return 0;
  const SegmentTime time =
      SegmentSum{.instruction_bytes = kSegmentInstructionBytes}.time(device_->timing);
  return (time.fixed + time.input).count();
}

std::int64_t SegmentCosts::input_ns(std::uint64_t bytes) const {
  if (!are_sums()) return 0;
  return SegmentSum{.input_bytes = bytes}.time(device_->timing).input.count();
}

std::int64_t SegmentCosts::output_ns(std::uint64_t bytes) const {
  if (!are_sums()) return 0;
  return SegmentSum{.output_bytes = bytes}.time(device_->timing).output.count();
}

std::uint64_t SegmentCosts::largest_capacity() const {
  return parameter_capacity(device_->memory, 0);
}

std::uint64_t SegmentCosts::smallest_capacity() const {
  return parameter_capacity(device_->memory, reserves_.empty() ? 0 : reserves_[0].rows);
}

Streaming SegmentCosts::spilled_last(std::size_t op, bool is_crowded) const {
  const OperatorFacts& facts = operators_[op];
  if (!is_crowded) return facts.spilled;
  return streaming(facts.work, facts.candidate->footprint.bytes,
                   std::max(facts.work.crossings, kCrowdedCrossings), device_->timing);
}

}  // namespace segue
