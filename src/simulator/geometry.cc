#include "simulator/geometry.h"

#include <algorithm>
#include <optional>

#include "compiler/tiles.h"
#include "model/operator_kinds.h"

namespace segue {
namespace {

// The fullest tile's work on one map operator.
struct MapPart {
  std::uint64_t output_rows = 0;
  std::uint64_t output_row_bytes = 0;
  std::uint64_t input_row_bytes = 0;  // with the kernel's border to both sides
  OperatorWindow window;

  [[nodiscard]] std::uint64_t input_rows(std::uint64_t rows_out) const {
    return (rows_out - 1) * window.stride_high + window.height;
  }
  // Input and output of a strip of output rows.
  [[nodiscard]] std::uint64_t strip_bytes(std::uint64_t rows_out) const {
    return input_rows(rows_out) * input_row_bytes + rows_out * output_row_bytes;
  }
};

std::optional<MapPart> map_part(const Model& model, OperatorId id, const ActivationMemory& memory) {
  const Operator& op = model.op(id);
  // TRANSPOSE_CONV reads its map third, behind the shape of its output and the weights.
  const std::size_t map = kind_of(op.code).loop == Loop::kTransposeConvolution ? 2 : 0;
  if (op.inputs.size() <= map || op.inputs[map] < 0 || op.outputs.empty()) return std::nullopt;
  const Tensor& input = model.tensor(tensor_id(op.inputs[map]));
  const Tensor& output = model.tensor(tensor_id(op.outputs[0]));
  if (input.shape.size() != 4 || output.shape.size() != 4 || input.is_constant())
    return std::nullopt;
  const TilePart part = tile_part(output, memory);
  if (part.rows == 0 || part.columns == 0) return std::nullopt;
  MapPart result;
  result.window = model.window(id);
  result.output_rows = part.rows;
  result.output_row_bytes = part.columns * part.channels;
  result.input_row_bytes =
      ((part.columns - 1) * result.window.stride_wide + result.window.width) * extent(input, 3);
  return result;
}

// The largest strip that fits; 0 when not even one row does.
std::uint64_t strip_rows(const MapPart& part, std::uint64_t tile_bytes) {
  if (part.strip_bytes(1) > tile_bytes) return 0;
  const std::uint64_t per_row =
      part.window.stride_high * part.input_row_bytes + part.output_row_bytes;
  if (per_row == 0) return part.output_rows;
  return std::min(part.output_rows, 1 + (tile_bytes - part.strip_bytes(1)) / per_row);
}

}  // namespace

std::uint32_t crossings(const Model& model, OperatorId id, const ActivationMemory& memory) {
  const auto part = map_part(model, id, memory);
  if (!part) return 1;
  const std::uint64_t rows = strip_rows(*part, as_integer(memory.narrow_tile_bytes));
  if (rows >= part->output_rows) return 1;
  if (2 * rows >= part->output_rows) return 3;
  constexpr std::uint64_t kSixteenths = 16;
  const std::uint64_t missing =
      kSixteenths / 2 - kSixteenths * rows / part->output_rows;  // sixteenths, to half of the rows
  return static_cast<std::uint32_t>(3 + 2 * missing);
}

bool input_crowds_tile(const Model& model, OperatorId id, const ActivationMemory& memory) {
  if (kind_of(model.op(id).code).loop != Loop::kConvolution) return false;
  const auto part = map_part(model, id, memory);
  constexpr std::uint64_t kRoomToWork = 6 * 1024;
  return part && part->input_rows(part->output_rows) * part->input_row_bytes + kRoomToWork >
                     as_integer(memory.narrow_tile_bytes);
}

std::uint64_t border_words(const Model& model, OperatorId id, const DeviceSpec& device) {
  const auto part = map_part(model, id, device.activations);
  if (!part || part->window.height * part->window.width == 1) return 0;
  const Tensor& input = model.tensor(tensor_id(model.op(id).inputs[0]));
  const TilePart own = tile_part(input, device.activations);
  const std::uint64_t lanes = as_integer(device.memory.input_lanes);
  const std::uint64_t channels = std::max<std::uint64_t>(own.channels, 1);
  const std::uint64_t needed =
      part->input_rows(part->output_rows) * (part->input_row_bytes / channels);
  return needed > own.rows * own.columns
             ? (needed - own.rows * own.columns) * divide_up(channels, lanes)
             : 0;
}

}  // namespace segue
