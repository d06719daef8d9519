// The EXIF orientation of pictures.
#pragma once

#include <cstdint>
#include <string_view>

#include "runtime/picture.h"

namespace segue {

// Returns the EXIF orientation of a JPEG or PNG, 1 to 8, or 1 if the file has no valid orientation.
[[nodiscard]] std::uint32_t orientation_of(std::string_view file);

// Rotates and mirrors pixels of `channels` bytes so that the picture is upright.
[[nodiscard]] Pixels upright(Pixels stored, int channels, std::uint32_t orientation);

}  // namespace segue
