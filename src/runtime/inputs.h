/// Values for a model's inputs from files.
#pragma once

#include <filesystem>

#include "segue/runtime.h"

namespace segue {

/// Reads an input from an image (BMP, PNG, JPEG, GIF, PPM; decoded and resized bilinearly to the
/// port's shape [1, H, W, 1 or 3]) or, when it is none, from a file of exactly the port's bytes.
/// Pixels 0..255 become the whole range of an 8-bit tensor, as the quantization of image models
/// means them, and [-1, 1] in floats. Throws Error(kIo) when the file cannot be read, and
/// Error(kInvalidArgument) when it is neither, or the port takes no image.
[[nodiscard]] TensorBytes read_input(const std::filesystem::path& path, const Port& port);

}  // namespace segue
