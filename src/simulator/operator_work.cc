#include <algorithm>
#include <initializer_list>

#include "compiler/tiles.h"
#include "model/operator_kinds.h"
#include "segue/simulator.h"
#include "simulator/geometry.h"

namespace segue {
namespace {

// Above, an operator is absurd; sums over the operators of any file stay within 64 bits.
constexpr std::uint64_t kMostCycles = std::uint64_t{1} << 40U;

// Factors come from files and may be anything.
std::uint64_t product(std::initializer_list<std::uint64_t> factors) {
  std::uint64_t result = 1;
  for (const std::uint64_t factor : factors) {
    if (factor != 0 && result > kMostCycles / factor) return kMostCycles;
    result *= factor;
  }
  return result;
}

std::uint64_t lanes(std::uint64_t channels, const Constant& width) {
  return divide_up(channels, as_integer(width));
}

// Cycles for one visit of every element of `tensor`: 64 channels of a pixel at a time.
std::uint64_t visit_cycles(const Tensor& tensor, const DeviceSpec& device) {
  const TilePart part = tile_part(tensor, device.activations);
  return product({part.pixels(), lanes(part.channels, device.memory.output_lanes)});
}

// Outputs by inputs, `uses` times.
std::uint64_t matrix_cycles(std::uint64_t outputs, std::uint64_t inputs, std::uint64_t uses,
                            const DeviceSpec& device) {
  return product(
      {uses, lanes(outputs, device.memory.output_lanes), lanes(inputs, device.memory.input_lanes)});
}

std::uint64_t recurrent_cycles(const Model& model, const Operator& op, const DeviceSpec& device) {
  const Tensor& sequence = model.tensor(tensor_id(op.inputs[0]));
  const std::uint64_t steps = sequence.shape.size() == 3 ? extent(sequence, 1) : 1;
  std::uint64_t cycles = 0;
  for (std::size_t i = 0; i < op.inputs.size(); ++i) {
    const Tensor* weights = constant_input(model, op, i);
    if (weights != nullptr && weights->shape.size() == 2)
      cycles += matrix_cycles(extent(*weights, 0), extent(*weights, 1), steps, device);
  }
  return cycles;
}

// How often an operator without weights visits each element of its output.
std::uint64_t visits_per_output(const Model& model, OperatorId id) {
  switch (kind_of(model.op(id).code).loop) {
    case Loop::kPool: {
      const OperatorWindow window = model.window(id);
      return std::uint64_t{window.height} * window.width;
    }
    case Loop::kInterpolation:
      return 4;  // neighbours
    case Loop::kNormalization:
      return 3;  // passes
    default:
      return 1;
  }
}

std::uint64_t weighted_cycles(const Model& model, OperatorId id, const Tensor& weights,
                              const DeviceSpec& device) {
  const Operator& op = model.op(id);
  const Tensor& output = model.tensor(tensor_id(op.outputs[0]));
  const TilePart part = tile_part(output, device.activations);
  const std::uint64_t taps = extent(weights, 1) * extent(weights, 2);
  switch (kind_of(op.code).loop) {
    case Loop::kConvolution:
      return matrix_cycles(extent(weights, 0), extent(weights, 3), product({part.pixels(), taps}),
                           device);
    case Loop::kDepthwise:
      return product({visit_cycles(output, device), taps});
    case Loop::kTransposeConvolution: {
      // Each input pixel contributes to kh * kw output pixels.
      const std::int32_t map = op.inputs[op.inputs.size() > 2 ? 2 : 0];
      if (map < 0) return product({visit_cycles(output, device), taps});
      const Tensor& input = model.tensor(tensor_id(map));
      return matrix_cycles(extent(weights, 0), extent(weights, 3),
                           product({tile_part(input, device.activations).pixels(), taps}), device);
    }
    case Loop::kDense: {
      const std::uint64_t outputs = std::max<std::uint64_t>(extent(weights, 0), 1);
      std::uint64_t elements = 1;
      for (std::size_t d = 0; d < output.shape.size(); ++d) elements *= extent(output, d);
      return matrix_cycles(outputs, extent(weights, 1), divide_up(elements, outputs), device);
    }
    default:
      return product({visit_cycles(output, device), visits_per_output(model, id)});
  }
}

std::uint64_t cycles_of(const Model& model, OperatorId id, const DeviceSpec& device) {
  const Operator& op = model.op(id);
  const Loop loop = kind_of(op.code).loop;
  if (op.outputs.empty() || loop == Loop::kRename) return 0;
  const bool has_input = !op.inputs.empty() && op.inputs[0] >= 0;
  if (loop == Loop::kRecurrent && has_input) return recurrent_cycles(model, op, device);
  if (loop == Loop::kReduction && has_input)
    return visit_cycles(model.tensor(tensor_id(op.inputs[0])), device);
  if (const Tensor* weights = constant_input(model, op, 1); weights != nullptr)
    return weighted_cycles(model, id, *weights, device);
  return product(
      {visit_cycles(model.tensor(tensor_id(op.outputs[0])), device), visits_per_output(model, id)});
}

}  // namespace

OperatorWork operator_work(const Model& model, OperatorId id, const DeviceSpec& device) {
  return {std::min(cycles_of(model, id, device), kMostCycles),
          crossings(model, id, device.activations)};
}

double tera_operations_per_s(std::uint64_t macs, Nanoseconds time) {
  return time.count() <= 0 ? 0 : 2e-12 * static_cast<double>(macs) / to_s(time);
}

}  // namespace segue
