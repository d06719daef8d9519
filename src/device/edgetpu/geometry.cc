#include "device/edgetpu/geometry.h"

#include <algorithm>

#include "model/internal/operator_kinds.h"

namespace segue {
namespace {

// Returns the rows of the largest strip that fits; 0 if not even one row fits.
std::uint64_t strip_rows(const MapPart& part, std::uint64_t tile_bytes) {
  if (part.strip_bytes(1) > tile_bytes) return 0;
  const std::uint64_t per_row =
      part.window.stride_high * part.input_row_bytes() + part.output_row_bytes();
  if (per_row == 0) return part.output.rows;
  return std::min(part.output.rows, 1 + (tile_bytes - part.strip_bytes(1)) / per_row);
}

}  // namespace

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

std::uint32_t crossings(const Model& model, OperatorId id, const ActivationMemory& memory) {
  const auto part = map_part(model, id, memory);
  if (!part) return 1;
  const std::uint64_t rows = strip_rows(*part, as_integer(memory.narrow_tile_bytes));
  if (rows >= part->output.rows) return 1;
  if (2 * rows >= part->output.rows) return 3;
  constexpr std::uint64_t kSixteenths = 16;
  const std::uint64_t missing =
      kSixteenths / 2 - kSixteenths * rows / part->output.rows;  // sixteenths, to half of the rows
  return static_cast<std::uint32_t>(3 + 2 * missing);
}

bool input_crowds_tile(const Model& model, OperatorId id, const ActivationMemory& memory) {
  if (kind_of(model.op(id).code).loop != Loop::kConvolution) return false;
  const auto part = map_part(model, id, memory);
  constexpr std::uint64_t kRoomToWork = 6 * 1024;
  return part && part->input_rows(part->output.rows) * part->input_row_bytes() + kRoomToWork >
                     as_integer(memory.narrow_tile_bytes);
}

std::uint64_t border_words(const Model& model, OperatorId id, const DeviceSpec& device) {
  const auto part = map_part(model, id, device.activations);
  if (!part || part->window.height * part->window.width == 1) return 0;
  const TilePart& own = part->input;
  const std::uint64_t needed = part->input_rows(part->output.rows) * part->input_columns();
  return needed > own.rows * own.columns
             ? (needed - own.rows * own.columns) *
                   divide_up(own.channels, as_integer(device.memory.input_lanes))
             : 0;
}

}  // namespace segue
