#include "runtime/internal/inputs.h"

#include <fmt/format.h>

#include <cstring>

#include "runtime/picture.h"
#include "segue/error.h"
#include "segue/file.h"

namespace segue {
namespace {

bool takes_image(const Port& port) {
  return port.shape.size() == 4 && port.shape[0] == 1 &&
         (port.shape[3] == 1 || port.shape[3] == 3) && port.shape[1] > 0 && port.shape[2] > 0;
}

// Decodes an image and resizes it to the port's shape. Returns nothing if the file is not an image.
std::vector<std::uint8_t> decode(std::string_view file, const Port& port) {
  const int channels = port.shape[3];
  const auto image = decode_picture(file, channels);
  if (!image) return {};
  const int row_bytes = port.shape[2] * channels;
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(port.shape[1]) *
                                   static_cast<std::size_t>(row_bytes));
  resize_picture(image->values.data(), image->width, image->height, channels,
                 {pixels.data(), port.shape[2], port.shape[1], row_bytes});
  return pixels;
}

bool fits(const std::vector<std::uint8_t>& pixels, const Port& port) {
  const bool is_byte = port.type == ElementType::kUint8 || port.type == ElementType::kInt8;
  const bool is_float = port.type == ElementType::kFloat32;
  return (is_byte && port.bytes == pixels.size()) ||
         (is_float && port.bytes == pixels.size() * sizeof(float));
}

}  // namespace

TensorBytes picture_tensor(std::span<const std::uint8_t> pixels, const Port& port,
                           FloatPixels floats) {
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
        const auto pixel = static_cast<float>(pixels[i]);
        const float real = floats == FloatPixels::kFrom0To1 ? pixel / 255 : pixel / 127.5F - 1;
        std::memcpy(value.data() + i * sizeof real, &real, sizeof real);
      }
  }
  return value;
}

TensorBytes read_input(const std::filesystem::path& path, const Port& port) {
  constexpr std::uint64_t kLargest = 256U << 20U;
  const std::string file = read_text_file(path, kLargest);
  if (takes_image(port) && file.size() != port.bytes && is_truncated_picture(file))
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: the image is truncated at {} bytes; fetch it again", path.string(),
                            file.size()));
  if (takes_image(port)) {
    const std::vector<std::uint8_t> pixels = decode(file, port);
    if (!pixels.empty() && fits(pixels, port)) return picture_tensor(pixels, port);
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
