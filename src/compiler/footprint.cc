#include "compiler/tiles.h"
#include "model/operator_kinds.h"
#include "segue/compiler.h"

namespace segue {
namespace {

// A matrix of `outputs` rows over `inputs` columns, `taps` times (kernel positions).
struct Matrix {
  std::uint64_t outputs = 0;
  std::uint64_t inputs = 0;
  std::uint64_t taps = 1;
  bool has_channel_data = true;  // bias and requantization
  bool needs_passes = false;     // its activations exceed the tiles
};

ParameterFootprint padded(const Matrix& matrix, const ParameterMemory& memory) {
  const std::uint64_t channels = round_up(matrix.outputs, as_integer(memory.output_lanes));
  const std::uint64_t weights =
      channels * round_up(matrix.inputs, as_integer(memory.input_lanes)) * matrix.taps;
  if (!matrix.has_channel_data) return {.cached_bytes = weights, .streamed_bytes = weights};
  const Constant& streamed =
      matrix.needs_passes ? memory.channel_bytes : memory.streamed_channel_bytes;
  return {.cached_bytes = weights + channels * as_integer(memory.channel_bytes),
          .streamed_bytes = weights + channels * as_integer(streamed)};
}

// Whether input and output of an operator do not fit the tiles together, so that the map is
// computed in several passes.
bool needs_passes(const Model& model, const Operator& op, const ActivationMemory& memory) {
  const Tensor& input = model.tensor(tensor_id(op.inputs[0]));
  const Tensor& output = model.tensor(tensor_id(op.outputs[0]));
  if (input.shape.size() != 4 || output.shape.size() != 4) return false;
  return tile_part(input, memory).bytes() + tile_part(output, memory).bytes() >
         as_integer(memory.narrow_tile_bytes);
}

// Gate and projection matrices of a recurrent layer; each is a dense layer of its own.
ParameterFootprint padded_recurrent(const Model& model, const Operator& op,
                                    const ParameterMemory& memory) {
  ParameterFootprint total;
  for (std::size_t i = 0; i < op.inputs.size(); ++i) {
    const Tensor* tensor = constant_input(model, op, i);
    if (tensor == nullptr || tensor->shape.size() != 2) continue;
    const auto part = padded(
        {.outputs = extent(*tensor, 0), .inputs = extent(*tensor, 1), .has_channel_data = false},
        memory);
    total.cached_bytes += part.cached_bytes;
    total.streamed_bytes += part.streamed_bytes;
  }
  return total;
}

// Constants of operators that no rule covers, and of element-wise ones as unfolded batch
// normalization leaves them. Paddings, axes and shapes (32 bits) and scalars are part of the
// program.
ParameterFootprint uncached_constants(const Model& model, const Operator& op) {
  ParameterFootprint result;
  for (std::size_t i = 0; i < op.inputs.size(); ++i) {
    const Tensor* tensor = constant_input(model, op, i);
    if (tensor == nullptr || tensor->shape.empty() || tensor->data.size() <= 1) continue;
    if (tensor->type == ElementType::kInt8 || tensor->type == ElementType::kUint8)
      result.streamed_bytes += tensor->data.size();
  }
  result.is_cacheable = result.streamed_bytes == 0;
  return result;
}

}  // namespace

// Weights: CONV_2D and TRANSPOSE_CONV [Co, kh, kw, Ci], DEPTHWISE_CONV_2D [1, kh, kw, C],
// FULLY_CONNECTED [No, Ni].
ParameterFootprint parameter_footprint(const Model& model, OperatorId id,
                                       const DeviceSpec& device) {
  const Operator& op = model.op(id);
  const Loop loop = kind_of(op.code).loop;
  if (loop == Loop::kRecurrent) return padded_recurrent(model, op, device.memory);
  const Tensor* weights = constant_input(model, op, 1);
  if (weights == nullptr || op.inputs[0] < 0 || op.outputs.empty())
    return uncached_constants(model, op);
  Matrix matrix;
  switch (loop) {
    case Loop::kConvolution:
    case Loop::kTransposeConvolution:
      matrix = {.outputs = extent(*weights, 0), .inputs = extent(*weights, 3)};
      break;
    case Loop::kDepthwise:
      // One full group of input lanes per channel and tap.
      matrix = {.outputs = extent(*weights, 3), .inputs = 1};
      break;
    case Loop::kDense:
      matrix = {.outputs = extent(*weights, 0), .inputs = extent(*weights, 1)};
      matrix.has_channel_data = constant_input(model, op, 2) != nullptr;
      return padded(matrix, device.memory);
    default:
      return uncached_constants(model, op);
  }
  matrix.taps = extent(*weights, 1) * extent(*weights, 2);
  matrix.needs_passes = needs_passes(model, op, device.activations);
  return padded(matrix, device.memory);
}

}  // namespace segue
