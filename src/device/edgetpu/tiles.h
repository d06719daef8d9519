// The distribution of a map over the tiles: they share height and width, and each has all channels
// of its part.
#pragma once

#include <cstdint>

#include "model/internal/operator_kinds.h"
#include "segue/device.h"
#include "segue/model.h"

namespace segue {

inline std::uint64_t as_integer(const Constant& constant) {
  return static_cast<std::uint64_t>(constant.value);
}

inline std::uint64_t round_up(std::uint64_t value, std::uint64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

inline std::uint64_t divide_up(std::uint64_t value, std::uint64_t divisor) {
  return (value + divisor - 1) / divisor;
}

// The fullest tile's part of an activation [N, H, W, C]. Tensors without height and width are in
// one tile, as one row and column with all channels per vector.
struct TilePart {
  std::uint64_t rows = 1;
  std::uint64_t columns = 1;
  std::uint64_t channels = 1;
  std::uint64_t batch = 1;  // maps or vectors
  [[nodiscard]] std::uint64_t pixels() const { return rows * columns * batch; }
  [[nodiscard]] std::uint64_t bytes() const { return rows * columns * channels; }
};

inline TilePart tile_part(const Tensor& tensor, const ActivationMemory& memory) {
  TilePart part;
  if (tensor.shape.empty()) return part;
  part.channels = extent(tensor, tensor.shape.size() - 1);
  if (tensor.shape.size() == 4) {
    part.rows = divide_up(extent(tensor, 1), as_integer(memory.tiles_high));
    part.columns = divide_up(extent(tensor, 2), as_integer(memory.tiles_wide));
    part.batch = extent(tensor, 0);
  } else {
    for (std::size_t d = 0; d + 1 < tensor.shape.size(); ++d) part.batch *= extent(tensor, d);
  }
  return part;
}

// Returns the constant input at `position`, or null.
inline const Tensor* constant_input(const Model& model, const Operator& op, std::size_t position) {
  if (position >= op.inputs.size() || op.inputs[position] < 0) return nullptr;
  const Tensor& tensor = model.tensor(tensor_id(op.inputs[position]));
  return tensor.is_constant() ? &tensor : nullptr;
}

}  // namespace segue
