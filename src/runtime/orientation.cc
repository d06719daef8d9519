#include "runtime/orientation.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace segue {
namespace {

enum class Order { kBigEndian, kLittleEndian };

// Returns the number at a position, or nothing beyond the end.
template <std::size_t kBytes>
std::optional<std::uint32_t> number_at(std::string_view text, std::size_t at, Order order) {
  if (at > text.size() || text.size() - at < kBytes) return std::nullopt;
  std::uint32_t number = 0;
  for (std::size_t i = 0; i < kBytes; ++i) {
    const std::size_t byte = order == Order::kBigEndian ? i : kBytes - 1 - i;
    number = number << 8U | static_cast<unsigned char>(text[at + byte]);
  }
  return number;
}

std::string_view part(std::string_view text, std::size_t at, std::size_t bytes) {
  return at > text.size() ? std::string_view() : text.substr(at, bytes);
}

// Returns the TIFF block of the first APP1 segment with EXIF, or an empty text.
std::string_view tiff_of_jpeg(std::string_view file) {
  using namespace std::string_view_literals;
  constexpr auto kExif = "Exif\0\0"sv;
  constexpr char kApp1 = '\xE1';
  constexpr char kScan = '\xDA';
  std::size_t at = 2;
  while (at + 4 <= file.size() && file[at] == '\xFF' && file[at + 1] != kScan) {
    if (file[at + 1] == '\xFF') {  // a fill byte
      ++at;
      continue;
    }
    const std::size_t bytes = *number_at<2>(file, at + 2, Order::kBigEndian);
    const std::string_view content = part(file, at + 4, std::max<std::size_t>(bytes, 2) - 2);
    if (file[at + 1] == kApp1 && content.starts_with(kExif)) return content.substr(kExif.size());
    at += 2 + bytes;
  }
  return {};
}

// Returns the content of the chunk eXIf, or an empty text.
std::string_view tiff_of_png(std::string_view file) {
  constexpr std::size_t kSignature = 8;
  constexpr std::size_t kAroundContent = 12;  // length, type, checksum
  for (std::size_t at = kSignature; at + kAroundContent <= file.size();) {
    const std::size_t bytes = *number_at<4>(file, at, Order::kBigEndian);
    if (part(file, at + 4, 4) == "eXIf") return part(file, at + 8, bytes);
    at += kAroundContent + bytes;
  }
  return {};
}

std::optional<std::uint32_t> orientation_of_tiff(std::string_view tiff) {
  constexpr std::uint32_t kOrientation = 0x0112;
  constexpr std::uint32_t kShort = 3;
  constexpr std::uint32_t kLong = 4;
  constexpr std::size_t kEntryBytes = 12;
  if (!tiff.starts_with("II") && !tiff.starts_with("MM")) return std::nullopt;
  const Order order = tiff[0] == 'M' ? Order::kBigEndian : Order::kLittleEndian;
  const auto directory = number_at<4>(tiff, 4, order);
  if (number_at<2>(tiff, 2, order) != 42 || !directory) return std::nullopt;
  const std::uint32_t entries = number_at<2>(tiff, *directory, order).value_or(0);
  for (std::uint32_t i = 0; i < entries; ++i) {
    const std::string_view entry =
        part(tiff, std::size_t{*directory} + 2 + i * kEntryBytes, kEntryBytes);
    if (entry.size() < kEntryBytes) return std::nullopt;
    if (number_at<2>(entry, 0, order) != kOrientation) continue;
    if (number_at<4>(entry, 4, order) != 1) return std::nullopt;  // one value
    const auto type = number_at<2>(entry, 2, order);
    if (type == kShort) return number_at<2>(entry, 8, order);
    if (type == kLong) return number_at<4>(entry, 8, order);
  }
  return std::nullopt;
}

}  // namespace

std::uint32_t orientation_of(std::string_view file) {
  const bool is_png = file.starts_with("\x89PNG");
  if (!is_png && !file.starts_with("\xFF\xD8")) return 1;
  const auto found = orientation_of_tiff(is_png ? tiff_of_png(file) : tiff_of_jpeg(file));
  return found && *found >= 1 && *found <= 8 ? *found : 1;
}

// Values 2 to 4 mirror the stored rows or columns. Values 5 to 8 also exchange rows and columns.
Pixels upright(Pixels stored, int channels, std::uint32_t orientation) {
  if (orientation == 1) return stored;
  const bool swaps = orientation >= 5;
  const bool mirrors_x =
      orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
  const bool mirrors_y =
      orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
  const auto width = static_cast<std::size_t>(swaps ? stored.height : stored.width);
  const auto height = static_cast<std::size_t>(swaps ? stored.width : stored.height);
  const auto bytes = static_cast<std::size_t>(channels);
  Pixels turned{static_cast<int>(width), static_cast<int>(height),
                std::vector<std::uint8_t>(width * height * bytes)};
  for (std::size_t y = 0; y < height; ++y) {
    for (std::size_t x = 0; x < width; ++x) {
      const std::size_t across = mirrors_x ? width - 1 - x : x;
      const std::size_t down = mirrors_y ? height - 1 - y : y;
      const std::size_t from = swaps ? across * height + down : down * width + across;
      std::copy_n(stored.values.data() + from * bytes, bytes,
                  turned.values.data() + (y * width + x) * bytes);
    }
  }
  return turned;
}

}  // namespace segue
