#include <algorithm>

#include "device/edgetpu/tiles.h"
#include "model/internal/operator_kinds.h"
#include "segue/cost.h"

namespace segue {
namespace {

constexpr std::uint64_t kScaleBytes = 8;
constexpr std::uint64_t kBiasBytes = 4;

// Returns the number of outputs as stored.
std::uint64_t packed(std::uint64_t outputs, const ParameterMemory& memory) {
  if (outputs == 1) return as_integer(memory.input_lanes);
  const std::uint64_t lanes = as_integer(memory.output_lanes);
  return round_up(outputs,
                  outputs < lanes ? std::min(as_integer(memory.narrow_outputs), lanes) : lanes);
}

bool is_zero(const Tensor& tensor) {
  return std::ranges::all_of(tensor.data, [](std::byte byte) { return byte == std::byte{0}; });
}

// Returns the bytes that are stored with each output. The compiler drops biases that are all zeros.
std::uint64_t channel_bytes(const Model& model, const Operator& op, const Tensor& weights) {
  const std::size_t place = kind_of(op.code).loop == Loop::kTransposeConvolution ? 3 : 2;
  const Tensor* const bias = constant_input(model, op, place);
  return (weights.quantization.scales.size() > 1 ? kScaleBytes : 0) +
         (bias != nullptr && !is_zero(*bias) ? kBiasBytes : 0);
}

std::uint64_t matrix_bytes(std::uint64_t outputs, std::uint64_t inputs, std::uint64_t taps,
                           std::uint64_t channel_bytes, const ParameterMemory& memory) {
  return packed(outputs, memory) *
         (round_up(inputs, as_integer(memory.input_lanes)) * taps + channel_bytes);
}

// Gate and projection matrices. Each is a dense layer without data per channel.
ParameterFootprint recurrent_footprint(const Model& model, const Operator& op,
                                       const ParameterMemory& memory) {
  ParameterFootprint total;
  for (std::size_t i = 0; i < op.inputs.size(); ++i) {
    const Tensor* tensor = constant_input(model, op, i);
    if (tensor != nullptr && tensor->shape.size() == 2)
      total.bytes += matrix_bytes(extent(*tensor, 0), extent(*tensor, 1), 1, 0, memory);
  }
  return total;
}

// Whether a dense layer reads a map of more than one pixel through a RESHAPE.
bool reads_flattened_map(const Model& model, const Operator& op) {
  const auto writer = model.producer(tensor_id(op.inputs[0]));
  if (!writer || kind_of(model.op(*writer).code).loop != Loop::kRename) return false;
  const auto& inputs = model.op(*writer).inputs;
  if (inputs.empty() || inputs[0] < 0) return false;
  const Tensor& map = model.tensor(tensor_id(inputs[0]));
  return map.shape.size() == 4 && extent(map, 1) * extent(map, 2) > 1;
}

ParameterFootprint dense_footprint(const Model& model, const Operator& op, const Tensor& weights,
                                   const ParameterMemory& memory) {
  const std::uint64_t outputs = extent(weights, 0);
  const std::uint64_t inputs = extent(weights, 1);
  ParameterFootprint result{
      matrix_bytes(outputs, inputs, 1, channel_bytes(model, op, weights), memory)};
  constexpr std::uint64_t kRowBytes = 64;
  const std::uint64_t group = std::min(packed(outputs, memory), as_integer(memory.output_lanes));
  const std::uint64_t rows = group * round_up(inputs, as_integer(memory.input_lanes)) / kRowBytes;
  result.is_cacheable = rows <= as_integer(memory.flatten_rows) || !reads_flattened_map(model, op);
  return result;
}

bool is_per_channel(const Tensor& constant) {
  return constant.data.size() == extent(constant, constant.shape.size() - 1);
}

// Constants of operators without a rule, and those of element-wise operators that unfolded batch
// normalization leaves. A constant per channel takes the unit of narrow layers for each stored
// byte: 16 bytes by compiler 16, 64 by the first compilers. Paddings, axes and shapes (32 bits) and
// scalars are part of the program.
ParameterFootprint uncached_constants(const Model& model, const Operator& op,
                                      const ParameterMemory& memory) {
  ParameterFootprint result;
  for (std::size_t i = 0; i < op.inputs.size(); ++i) {
    const Tensor* tensor = constant_input(model, op, i);
    if (tensor == nullptr || tensor->shape.empty() || tensor->data.size() <= 1) continue;
    if (tensor->type == ElementType::kInt8 || tensor->type == ElementType::kUint8)
      result.bytes +=
          tensor->data.size() * (is_per_channel(*tensor) ? as_integer(memory.narrow_outputs) : 1);
  }
  result.is_cacheable = result.bytes == 0;
  return result;
}

}  // namespace

// Shapes of weights: CONV_2D and TRANSPOSE_CONV [Co, kh, kw, Ci], DEPTHWISE_CONV_2D [1, kh, kw, C],
// FULLY_CONNECTED [No, Ni].
ParameterFootprint parameter_footprint(const Model& model, OperatorId id,
                                       const DeviceSpec& device) {
  const Operator& op = model.op(id);
  const ParameterMemory& memory = device.memory;
  const Loop loop = kind_of(op.code).loop;
  if (loop == Loop::kRecurrent) return recurrent_footprint(model, op, memory);
  const Tensor* weights = constant_input(model, op, 1);
  if (weights == nullptr || op.inputs[0] < 0 || op.outputs.empty())
    return uncached_constants(model, op, memory);
  const std::uint64_t taps = extent(*weights, 1) * extent(*weights, 2);
  switch (loop) {
    case Loop::kConvolution:
    case Loop::kTransposeConvolution:
      return {matrix_bytes(extent(*weights, 0), extent(*weights, 3), taps,
                           channel_bytes(model, op, *weights), memory)};
    case Loop::kDepthwise: {
      // Each channel and tap has a full group of input lanes.
      constexpr std::uint64_t kChannelsTogether = 8;
      return {round_up(extent(*weights, 3), kChannelsTogether) *
              (as_integer(memory.input_lanes) * taps + channel_bytes(model, op, *weights))};
    }
    case Loop::kDense:
      return dense_footprint(model, op, *weights, memory);
    default:
      return uncached_constants(model, op, memory);
  }
}

}  // namespace segue
