// Places pictures in a detector's input, and maps boxes back to the picture.
#pragma once

#include "runtime/detection/suppression.h"
#include "segue/detection.h"

namespace segue::detection {

// How a picture fills the input.
enum class Fit {
  kStretch,   // the picture fills the whole input
  kLetterbox  // the picture keeps its shape, centred on a grey background
};

// Throws Error(kInvalidArgument) if the picture is empty or too large.
[[nodiscard]] PicturePlacement place(std::uint32_t width, std::uint32_t height, const Port& input,
                                     Fit fit);

// Returns the pixels of the input, [H, W, 3].
[[nodiscard]] std::vector<std::uint8_t> fill_input(std::span<const std::uint8_t> rgb,
                                                   const PicturePlacement& placement,
                                                   const Port& input, Fit fit);

// Throws Error(kInvalidArgument) for a placement that `place` cannot return: one without extent, or
// with values that are not finite.
void check_placement(const PicturePlacement& placement);

// Maps a box from pixels of the input to pixels of the picture, and adds the part that is inside
// the picture, if there is one.
void add_to_picture(const Detection& box, const PicturePlacement& placement,
                    std::vector<Detection>& found);

}  // namespace segue::detection
