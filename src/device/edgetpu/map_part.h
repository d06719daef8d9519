// The part of a map that the fullest tile works on.
#pragma once

#include <cstdint>
#include <optional>

#include "device/edgetpu/tiles.h"

namespace segue {

// Of one operator that reads a map and writes a map.
struct MapPart {
  TilePart input;  // of the tile's own, without the kernel's border
  TilePart output;
  OperatorWindow window;

  // Rows and columns of input that so many of output need, with the kernel's border to both sides.
  [[nodiscard]] std::uint64_t input_rows(std::uint64_t rows_out) const {
    return (rows_out - 1) * window.stride_high + window.height;
  }
  [[nodiscard]] std::uint64_t input_columns() const {
    return (output.columns - 1) * window.stride_wide + window.width;
  }
  [[nodiscard]] std::uint64_t input_row_bytes() const { return input_columns() * input.channels; }
  [[nodiscard]] std::uint64_t output_row_bytes() const { return output.columns * output.channels; }
  // Input and output of a strip of output rows.
  [[nodiscard]] std::uint64_t strip_bytes(std::uint64_t rows_out) const {
    return input_rows(rows_out) * input_row_bytes() + rows_out * output_row_bytes();
  }
};

// Nothing for operators without height and width.
[[nodiscard]] std::optional<MapPart> map_part(const Model& model, OperatorId id,
                                              const ActivationMemory& memory);

// In how many strips the compiler prepares the program of an operator whose input and output do not
// fit the tile: 1 where they do, else twice the smallest power of two that makes them fit, the
// border not counted. A fit to published files.
[[nodiscard]] std::uint64_t program_strips(const MapPart& part, const ActivationMemory& memory);

}  // namespace segue
