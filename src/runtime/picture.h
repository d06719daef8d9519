// Image files in memory, and the resizing of pictures.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace segue {

// Pixels per row and per column. Larger pictures are refused before memory is allocated for them.
inline constexpr int kMostPictureExtent = 16384;

struct Pixels {
  int width = 0;
  int height = 0;
  std::vector<std::uint8_t> values;  // [height, width, channels]
};

// Decodes PNG, JPEG, BMP, GIF, PGM or PPM to 1 or 3 channels of 8 bits, and applies the EXIF
// orientation. 16-bit values are reduced to their upper byte. Returns nothing for other files.
[[nodiscard]] std::optional<Pixels> decode_picture(std::string_view file, int channels);

// Whether a picture file ends too early. The decoder fills missing pixels with arbitrary values.
[[nodiscard]] bool is_truncated_picture(std::string_view file);

// A part of a larger picture in memory.
struct PixelRectangle {
  std::uint8_t* pixels = nullptr;  // the first
  int width = 0;
  int height = 0;
  int row_bytes = 0;  // from one row to the next
};

// Resizes with a triangle filter: bilinear where the picture grows, averaging where it shrinks.
void resize_picture(const std::uint8_t* pixels, int width, int height, int channels,
                    const PixelRectangle& to);

}  // namespace segue
