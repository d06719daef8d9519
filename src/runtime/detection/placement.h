// Pictures into a detector's input, and boxes back.
#pragma once

#include "runtime/detection/suppression.h"
#include "segue/detection.h"

namespace segue::detection {

// How a picture fills the input.
enum class Fit {
  kStretch,   // it fills the whole input
  kLetterbox  // it keeps its shape, in the middle of grey
};

// Throws Error(kInvalidArgument) for a picture without extent or with too large a one.
[[nodiscard]] PicturePlacement place(std::uint32_t width, std::uint32_t height, const Port& input,
                                     Fit fit);

// The pixels of the input, [H, W, 3].
[[nodiscard]] std::vector<std::uint8_t> fill_input(std::span<const std::uint8_t> rgb,
                                                   const PicturePlacement& placement,
                                                   const Port& input, Fit fit);

// Throws Error(kInvalidArgument) for a placement that `place` does not return: without extent, or
// not finite.
void check_placement(const PicturePlacement& placement);

// A box in pixels of the input becomes one in pixels of the picture, within it.
[[nodiscard]] Detection to_picture(const Detection& box, const PicturePlacement& placement);

}  // namespace segue::detection
