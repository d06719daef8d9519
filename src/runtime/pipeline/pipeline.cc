#include "segue/pipeline.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/pipeline/state.h"

namespace segue {
namespace {

[[noreturn]] void fail_naming(std::span<const Port> ports, const std::string& reason) {
  std::vector<std::string> names;
  for (const Port& port : ports) names.push_back(port.name);
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("{} of the pipeline; expected {}", reason, fmt::join(names, ", ")));
}

}  // namespace

std::uint32_t PipelineLayout::device_count() const {
  std::uint32_t count = 0;
  for (const PipelineSegment& segment : segments) count += segment.replicas;
  return count;
}

Pipeline::Pipeline(PipelineLayout layout, std::vector<PipelineDevice> devices,
                   PipelineOptions options)
    : state_(std::make_shared<PipelineState>(std::move(layout), std::move(devices),
                                             std::move(options))) {
  state_->start_threads();
}

Pipeline::~Pipeline() { state_->stop(); }

std::span<const Port> Pipeline::inputs() const { return state_->input_ports(); }
std::span<const Port> Pipeline::outputs() const { return state_->output_ports(); }

Flow Pipeline::push(std::vector<TensorBytes>&& inputs, Nanoseconds timeout) {
  return state_->push(inputs, timeout);
}
Flow Pipeline::push_borrowed(std::vector<BorrowedTensor>&& inputs, Nanoseconds timeout) {
  return state_->push(inputs, timeout);
}
Flow Pipeline::push_named(std::map<std::string, TensorBytes>&& inputs, Nanoseconds timeout) {
  const auto ports = state_->input_ports();
  for (const auto& [name, value] : inputs) {
    if (std::ranges::find(ports, name, &Port::name) == ports.end())
      fail_naming(ports, fmt::format("'{}' is not an input", name));
  }
  if (inputs.size() < ports.size()) {
    const auto missing =
        std::ranges::find_if(ports, [&](const Port& port) { return !inputs.contains(port.name); });
    fail_naming(ports, fmt::format("missing input '{}'", missing->name));
  }
  std::vector<TensorBytes> values;
  for (const Port& port : ports) values.push_back(std::move(inputs[port.name]));
  const auto give_back = [&] {
    for (std::size_t i = 0; i < ports.size(); ++i) inputs[ports[i].name] = std::move(values[i]);
  };
  try {
    const Flow flow = state_->push(values, timeout);
    if (flow != Flow::kOk) give_back();
    return flow;
  } catch (...) {
    give_back();
    throw;
  }
}

std::size_t Pipeline::output_position(std::string_view name) const {
  const auto ports = state_->output_ports();
  const auto found = std::ranges::find(ports, name, &Port::name);
  if (found == ports.end()) fail_naming(ports, fmt::format("'{}' is not an output", name));
  return static_cast<std::size_t>(found - ports.begin());
}

Flow Pipeline::pop(PipelineResult& result, Nanoseconds timeout) {
  return state_->pop(result, timeout);
}
void Pipeline::set_capacities(std::uint32_t queue, std::uint32_t results) {
  state_->set_capacities(queue, results);
}
void Pipeline::close() { state_->close(); }
void Pipeline::cancel() { state_->cancel(); }
PipelineStatistics Pipeline::statistics() const { return state_->statistics(); }
PipelineTrace Pipeline::trace() const { return state_->trace(); }

}  // namespace segue
