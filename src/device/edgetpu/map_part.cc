#include "device/edgetpu/map_part.h"

#include "model/internal/operator_kinds.h"

namespace segue {

std::optional<MapPart> map_part(const Model& model, OperatorId id, const ActivationMemory& memory) {
  const Operator& op = model.op(id);
  // The map is the third input of TRANSPOSE_CONV, after the output shape and the weights.
  const std::size_t map = kind_of(op.code).loop == Loop::kTransposeConvolution ? 2 : 0;
  if (op.inputs.size() <= map || op.inputs[map] < 0 || op.outputs.empty()) return std::nullopt;
  const Tensor& input = model.tensor(tensor_id(op.inputs[map]));
  const Tensor& output = model.tensor(tensor_id(op.outputs[0]));
  if (input.shape.size() != 4 || output.shape.size() != 4 || input.is_constant())
    return std::nullopt;
  const MapPart part{tile_part(input, memory), tile_part(output, memory), model.window(id)};
  if (part.output.rows == 0 || part.output.columns == 0) return std::nullopt;
  return part;
}

std::uint64_t program_strips(const MapPart& part, const ActivationMemory& memory) {
  const std::uint64_t tile = as_integer(memory.narrow_tile_bytes);
  if (part.strip_bytes(part.output.rows) <= tile) return 1;
  constexpr std::uint64_t kMostStrips = 1U << 10U;  // limit for maps that no compiler accepts
  std::uint64_t parts = 1;
  while (parts < kMostStrips && parts * tile < part.input.bytes() + part.output.bytes()) parts *= 2;
  return 2 * parts;
}

}  // namespace segue
