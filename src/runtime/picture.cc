#include "runtime/picture.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <memory>

#include "runtime/orientation.h"

// stb_image refuses larger pictures before it allocates memory for them.
#define STBI_MAX_DIMENSIONS 16384  // kMostPictureExtent
#define STBI_ONLY_BMP  // formats without a signature, such as TGA, would match raw tensors
#define STBI_ONLY_GIF
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_ONLY_PNM
#define STBI_NO_LINEAR
#define STBI_NO_SIMD  // its intrinsics do not compile without optimization
#define STBI_NO_STDIO
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#include <stb/stb_image.h>
#define STB_IMAGE_RESIZE_STATIC
#define STB_IMAGE_RESIZE_IMPLEMENTATION
#include <stb/stb_image_resize.h>

namespace segue {
namespace {

// Returns the number of bytes that the pixels of a portable map need, and sets `begin` to their
// position. Empty if the file is not a portable map.
std::optional<std::uint64_t> pixel_bytes_of_map(std::string_view file, std::size_t& begin) {
  if (!file.starts_with("P5") && !file.starts_with("P6")) return std::nullopt;
  std::array<std::uint64_t, 3> numbers{};  // width, height, largest value
  begin = 2;
  for (std::uint64_t& number : numbers) {
    while (begin < file.size() &&
           (std::isspace(static_cast<unsigned char>(file[begin])) != 0 || file[begin] == '#'))
      begin = file[begin] == '#' ? std::min(file.find('\n', begin), file.size()) : begin + 1;
    const char* const end = file.data() + file.size();
    const auto [after, error] =
        std::from_chars(file.data() + std::min(begin, file.size()), end, number);
    if (error != std::errc{} || number > 65535) return std::nullopt;
    begin = static_cast<std::size_t>(after - file.data());
  }
  ++begin;  // one blank
  return numbers[0] * numbers[1] * (file[1] == '6' ? 3 : 1) * (numbers[2] > 255 ? 2 : 1);
}

}  // namespace

bool is_truncated_picture(std::string_view file) {
  std::size_t begin = 0;
  if (const auto needed = pixel_bytes_of_map(file, begin)) return begin + *needed > file.size();
  if (file.starts_with("GIF8")) {
    const std::size_t last = file.find_last_not_of('\0');
    return last == std::string_view::npos || file[last] != ';';
  }
  // A JPEG must have an end marker after its last scan. An embedded preview has an end marker too,
  // but before that scan.
  if (file.starts_with("\xFF\xD8\xFF"))
    return file.find("\xFF\xD9", std::min(file.rfind("\xFF\xDA"), file.size())) ==
           std::string_view::npos;
  constexpr std::size_t kSizeAt = 2;  // the length of a BMP is here, in 4 bytes, little-endian
  if (!file.starts_with("BM") || file.size() < kSizeAt + 4) return false;
  std::size_t size = 0;
  for (std::size_t i = 4; i-- > 0;)
    size = size << 8U | static_cast<unsigned char>(file[kSizeAt + i]);
  return size > file.size();
}

std::optional<Pixels> decode_picture(std::string_view file, int channels) {
  Pixels pixels;
  int of_file = 0;
  const std::unique_ptr<stbi_uc, void (*)(void*)> values(
      stbi_load_from_memory(reinterpret_cast<const stbi_uc*>(file.data()),
                            static_cast<int>(file.size()), &pixels.width, &pixels.height, &of_file,
                            channels),
      stbi_image_free);
  if (!values || pixels.width <= 0 || pixels.height <= 0) return std::nullopt;
  const auto bytes = static_cast<std::size_t>(pixels.width) *
                     static_cast<std::size_t>(pixels.height) * static_cast<std::size_t>(channels);
  pixels.values.assign(values.get(), values.get() + bytes);
  return upright(std::move(pixels), channels, orientation_of(file));
}

void resize_picture(const std::uint8_t* pixels, int width, int height, int channels,
                    const PixelRectangle& to) {
  stbir_resize_uint8_generic(pixels, width, height, 0, to.pixels, to.width, to.height, to.row_bytes,
                             channels, STBIR_ALPHA_CHANNEL_NONE, 0, STBIR_EDGE_CLAMP,
                             STBIR_FILTER_TRIANGLE, STBIR_COLORSPACE_LINEAR, nullptr);
}

}  // namespace segue
