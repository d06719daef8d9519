// The part of a map on which the fullest tile works, and maps that do not fit in the tiles.
#pragma once

#include <cstdint>
#include <optional>

#include "device/edgetpu/tiles.h"

namespace segue {

// The part of an operator that reads a map and writes a map.
struct MapPart {
  TilePart input;  // the tile's own part, without the kernel's border
  TilePart output;
  OperatorWindow window;

  // Rows and columns of input that are needed for a number of output rows and columns, with the
  // kernel's border on both sides.
  [[nodiscard]] std::uint64_t input_rows(std::uint64_t rows_out) const {
    return (rows_out - 1) * window.stride_high + window.height;
  }
  [[nodiscard]] std::uint64_t input_columns() const {
    return (output.columns - 1) * window.stride_wide + window.width;
  }
  [[nodiscard]] std::uint64_t input_row_bytes() const { return input_columns() * input.channels; }
  [[nodiscard]] std::uint64_t output_row_bytes() const { return output.columns * output.channels; }
  // Bytes of input and output of a strip of output rows.
  [[nodiscard]] std::uint64_t strip_bytes(std::uint64_t rows_out) const {
    return input_rows(rows_out) * input_row_bytes() + rows_out * output_row_bytes();
  }
};

// Returns nothing for operators without height and width.
[[nodiscard]] std::optional<MapPart> map_part(const Model& model, OperatorId id,
                                              const ActivationMemory& memory);

// Returns the number of strips in the program of an operator: 1 if its input and output fit in the
// tile, otherwise twice the smallest power of two of parts that fit, without the border. A fit to
// published files.
[[nodiscard]] std::uint64_t program_strips(const MapPart& part, const ActivationMemory& memory);

// Returns how often the streamed weights of an operator cross the link per inference. Once if the
// fullest tile holds its part of the input (with the kernel's border) and output. Otherwise the map
// is computed in strips of as many output rows as fit: 3 times if a strip has at least half of the
// rows, and 2 more for each sixteenth of the rows that it has less than half. These are the steps
// of the measured sweep at 642 and 722 filters. 1 for operators without height and width.
[[nodiscard]] std::uint32_t crossings(const Model& model, OperatorId id,
                                      const ActivationMemory& memory);

// Returns whether the complete input of a convolution, with the kernel's border, leaves less than 6
// KiB of a tile free. A segment that receives such an input from the host streams its last layer at
// least `kCrowdedCrossings` times, as measured in pipelines from 592 filters on.
[[nodiscard]] bool input_crowds_tile(const Model& model, OperatorId id,
                                     const ActivationMemory& memory);
inline constexpr std::uint32_t kCrowdedCrossings = 6;

// Returns the input words that the fullest tile of a convolution reads from its neighbours.
[[nodiscard]] std::uint64_t border_words(const Model& model, OperatorId id,
                                         const DeviceSpec& device);

}  // namespace segue
