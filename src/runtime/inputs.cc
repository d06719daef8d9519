#include "runtime/inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstring>
#include <memory>
#include <optional>

#include "segue/error.h"
#include "segue/file.h"

// Larger pictures are refused before memory for them is asked.
#define STBI_MAX_DIMENSIONS 16384
#define STBI_ONLY_BMP  // what has no mark of its own, as TGA, would be found in raw tensors
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

using Pixels = std::vector<std::uint8_t>;  // [H, W, C]

bool takes_image(const Port& port) {
  return port.shape.size() == 4 && port.shape[0] == 1 &&
         (port.shape[3] == 1 || port.shape[3] == 3) && port.shape[1] > 0 && port.shape[2] > 0;
}

// Bytes that the pixels of a portable map begin after its header need; nothing where it is none.
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

// The decoder fills what is missing with anything.
bool is_cut_short(std::string_view file) {
  std::size_t begin = 0;
  if (const auto needed = pixel_bytes_of_map(file, begin)) return begin + *needed > file.size();
  if (file.starts_with("GIF8")) {
    const std::size_t last = file.find_last_not_of('\0');
    return last == std::string_view::npos || file[last] != ';';
  }
  // A JPEG's last scan has an end; a preview that the file holds has its own before it.
  if (file.starts_with("\xFF\xD8\xFF"))
    return file.find("\xFF\xD9", std::min(file.rfind("\xFF\xDA"), file.size())) ==
           std::string_view::npos;
  constexpr std::size_t kSizeAt = 2;  // of a BMP: its length, 4 bytes, little-endian
  if (!file.starts_with("BM") || file.size() < kSizeAt + 4) return false;
  std::size_t size = 0;
  for (std::size_t i = 4; i-- > 0;)
    size = size << 8U | static_cast<unsigned char>(file[kSizeAt + i]);
  return size > file.size();
}

// Empty when the file is no image.
Pixels decode(std::string_view file, const Port& port) {
  int width = 0;
  int height = 0;
  int channels = 0;
  const int wanted = port.shape[3];
  const std::unique_ptr<stbi_uc, void (*)(void*)> image(
      stbi_load_from_memory(reinterpret_cast<const stbi_uc*>(file.data()),
                            static_cast<int>(file.size()), &width, &height, &channels, wanted),
      stbi_image_free);
  if (!image || width <= 0 || height <= 0) return {};
  Pixels pixels(static_cast<std::size_t>(port.shape[1]) * static_cast<std::size_t>(port.shape[2]) *
                static_cast<std::size_t>(wanted));
  stbir_resize_uint8_generic(image.get(), width, height, 0, pixels.data(), port.shape[2],
                             port.shape[1], 0, wanted, STBIR_ALPHA_CHANNEL_NONE, 0,
                             STBIR_EDGE_CLAMP, STBIR_FILTER_TRIANGLE, STBIR_COLORSPACE_LINEAR,
                             nullptr);
  return pixels;
}

TensorBytes to_tensor(const Pixels& pixels, const Port& port) {
  TensorBytes value(port.bytes);
  switch (port.type) {
    case ElementType::kUint8:
      std::memcpy(value.data(), pixels.data(), value.size());
      break;
    case ElementType::kInt8:
      for (std::size_t i = 0; i < value.size(); ++i)
        value[i] = std::byte{pixels[i]} ^ std::byte{0x80};
      break;
    default:
      for (std::size_t i = 0; i < pixels.size(); ++i) {
        const float real = static_cast<float>(pixels[i]) / 127.5F - 1;
        std::memcpy(value.data() + i * sizeof real, &real, sizeof real);
      }
  }
  return value;
}

bool fits(const Pixels& pixels, const Port& port) {
  const bool is_byte = port.type == ElementType::kUint8 || port.type == ElementType::kInt8;
  const bool is_float = port.type == ElementType::kFloat32;
  return (is_byte && port.bytes == pixels.size()) ||
         (is_float && port.bytes == pixels.size() * sizeof(float));
}

}  // namespace

TensorBytes read_input(const std::filesystem::path& path, const Port& port) {
  constexpr std::uint64_t kLargest = 256U << 20U;
  const std::string file = read_text_file(path, kLargest);
  if (takes_image(port) && file.size() != port.bytes && is_cut_short(file))
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: the image is truncated at {} bytes; fetch it again", path.string(),
                            file.size()));
  if (takes_image(port)) {
    const Pixels pixels = decode(file, port);
    if (!pixels.empty() && fits(pixels, port)) return to_tensor(pixels, port);
  }
  if (file.size() == port.bytes) {
    TensorBytes value(file.size());
    std::memcpy(value.data(), file.data(), file.size());
    return value;
  }
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("{}: input '{}' needs a supported image or a raw tensor of {} bytes; the "
                          "file is neither ({} bytes)",
                          path.string(), port.name, port.bytes, file.size()));
}

}  // namespace segue
