/// Values for a model's inputs from files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

#include "segue/runtime.h"

namespace segue {

/// The range of float32 values that pixels 0 to 255 are mapped to.
enum class FloatPixels { kFromMinus1To1, kFrom0To1 };

/// Turns pixels into a tensor of the port's type, which is uint8, int8 or float32. In 8-bit
/// tensors, pixels use the whole range, as the quantization of image models expects.
[[nodiscard]] TensorBytes picture_tensor(std::span<const std::uint8_t> pixels, const Port& port,
                                         FloatPixels floats = FloatPixels::kFromMinus1To1);

/// Reads an input from an image (BMP, PNG, JPEG, GIF, PPM; decoded and resized bilinearly to the
/// port's shape [1, H, W, 1 or 3]), or else from a file of exactly the port's size in bytes. Pixels
/// 0 to 255 are mapped to the whole range of an 8-bit tensor, as the quantization of image models
/// expects, and to [-1, 1] in floats. Throws Error(kIo) if the file cannot be read, and
/// Error(kInvalidArgument) if it is neither, or if the port does not take images.
[[nodiscard]] TensorBytes read_input(const std::filesystem::path& path, const Port& port);

}  // namespace segue
