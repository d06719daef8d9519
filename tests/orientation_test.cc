// Pictures with an EXIF orientation or with 16 bits. python/tests/test_serve_pictures.py tests that
// the server decodes them in the same way.
#include <gtest/gtest.h>

#include <array>
#include <fstream>

#include "environment.h"
#include "runtime/internal/inputs.h"
#include "segue/detection.h"

namespace segue {
namespace {

using Rows = std::vector<std::vector<int>>;

std::string number(std::uint32_t value, std::size_t bytes, bool is_little = false) {
  std::string text;
  for (std::size_t i = 0; i < bytes; ++i) {
    const std::size_t byte = is_little ? i : bytes - 1 - i;
    text += static_cast<char>(value >> (8 * byte) & 0xFFU);
  }
  return text;
}

// A TIFF block whose only entry is the orientation.
std::string tiff(std::uint32_t orientation, bool is_little, std::uint32_t type = 3) {
  const auto of = [&](std::uint32_t value, std::size_t bytes) {
    return number(value, bytes, is_little);
  };
  return (is_little ? "II" : "MM") + of(42, 2) + of(8, 4) + of(1, 2) + of(0x0112, 2) + of(type, 2) +
         of(1, 4) + of(orientation, 2) + of(0, 2) + of(0, 4);
}

std::string chunk(const std::string& type, const std::string& content) {
  return number(static_cast<std::uint32_t>(content.size()), 4) + type + content +
         number(0, 4);  // the decoder does not look at the checksum
}

// A grey PNG of samples of 8 or 16 bits, not compressed.
std::string png(const Rows& rows, std::uint32_t bits, const std::string& exif = "") {
  std::string pixels;
  for (const auto& row : rows) {
    pixels += '\0';  // no filter
    for (const int value : row) pixels += number(static_cast<std::uint32_t>(value), bits / 8);
  }
  const auto size = static_cast<std::uint32_t>(pixels.size());
  const std::string header = number(static_cast<std::uint32_t>(rows[0].size()), 4) +
                             number(static_cast<std::uint32_t>(rows.size()), 4) + number(bits, 1) +
                             number(0, 4);
  return "\x89PNG\r\n\x1a\n" + chunk("IHDR", header) + (exif.empty() ? "" : chunk("eXIf", exif)) +
         chunk("IDAT", "\x78\x01\x01" + number(size, 2, true) + number(~size, 2, true) + pixels +
                           number(0, 4)) +
         chunk("IEND", "");
}

// A grey JPEG of 16 x 8 pixels, black on the left and white on the right.
std::string jpeg(const std::string& segments) {
  const std::string hex =
      "ffdb004300100b0c0e0c0a100e0d0e1211101318281a181616183123251d283a333d3c3933383740485c4e4044"
      "57453738506d51575f626768673e4d71797064785c656763ffc0000b080008001001011100ffc4001500010100"
      "000000000000000000000000000708ffc40014100100000000000000000000000000000000ffda000801010000"
      "3f003f500fffd9";
  std::string file = "\xFF\xD8" + segments;
  for (std::size_t i = 0; i < hex.size(); i += 2)
    file += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return file;
}

std::string segment(const std::string& marker, const std::string& content) {
  return "\xFF" + marker + number(static_cast<std::uint32_t>(content.size()) + 2, 2) + content;
}

std::string exif_segment(const std::string& block) {
  return segment("\xE1", std::string("Exif\0\0", 6) + block);
}

class Files {
 public:
  [[nodiscard]] std::filesystem::path write(const std::string& content) const {
    const auto path = scratch_.path() / "picture";
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }
  // Returns the red values; the three channels must be equal.
  [[nodiscard]] Rows read(const std::string& content) const {
    const Picture picture = read_picture(write(content));
    Rows rows(picture.height, std::vector<int>(picture.width));
    for (std::size_t i = 0; i < picture.rgb.size(); i += 3) {
      rows[i / 3 / picture.width][i / 3 % picture.width] = picture.rgb[i];
      EXPECT_TRUE(picture.rgb[i] == picture.rgb[i + 1] && picture.rgb[i] == picture.rgb[i + 2]);
    }
    return rows;
  }

 private:
  testing::ScratchFolder scratch_;
};

const Rows kStored{{0, 1, 2}, {3, 4, 5}};

// Expected values from the table of the standard: the sides of the picture on which the first row
// and the first column of the file lie.
TEST(PictureOrientation, EachValueTurnsThePicture) {
  const Files files;
  const std::array<Rows, 8> upright{{{{0, 1, 2}, {3, 4, 5}},
                                     {{2, 1, 0}, {5, 4, 3}},
                                     {{5, 4, 3}, {2, 1, 0}},
                                     {{3, 4, 5}, {0, 1, 2}},
                                     {{0, 3}, {1, 4}, {2, 5}},
                                     {{3, 0}, {4, 1}, {5, 2}},
                                     {{5, 2}, {4, 1}, {3, 0}},
                                     {{2, 5}, {1, 4}, {0, 3}}}};
  for (std::uint32_t orientation = 1; orientation <= 8; ++orientation) {
    for (const bool is_little : {false, true})
      EXPECT_EQ(files.read(png(kStored, 8, tiff(orientation, is_little))),
                upright.at(orientation - 1))
          << orientation;
  }
  EXPECT_EQ(files.read(png(kStored, 8)), kStored);
  EXPECT_EQ(files.read(png(kStored, 8, tiff(6, true, 4))), upright[5]);  // as 32 bits
}

TEST(PictureOrientation, JpegIsTurned) {
  const Files files;
  const auto top_of = [&](const std::string& segments) {
    const Rows rows = files.read(jpeg(segments));
    EXPECT_EQ(rows.size(), 16U);
    return std::pair(rows[0][0], rows[15][7]);
  };
  const std::string other = segment("\xE0", "JFIF") + segment("\xE1", "http://ns.adobe.com/xap");
  EXPECT_EQ(top_of(other + exif_segment(tiff(6, true))), std::pair(0, 255));
  EXPECT_EQ(top_of(exif_segment(tiff(8, false)) + other), std::pair(255, 0));
  EXPECT_EQ(files.read(jpeg(other)).size(), 8U);
}

TEST(PictureOrientation, DamagedBlockCountsAsNone) {
  const Files files;
  const std::string whole = tiff(6, false);
  for (std::size_t bytes = 0; bytes + 6 <= whole.size(); ++bytes) {
    const std::string cut = whole.substr(0, bytes);
    if (bytes > 0) {
      EXPECT_EQ(files.read(png(kStored, 8, cut)), kStored) << bytes;
    }
    EXPECT_EQ(files.read(jpeg(exif_segment(cut))).size(), 8U) << bytes;
  }
  for (const std::string& block : {tiff(0, true), tiff(9, true), tiff(6, true, 2)})
    EXPECT_EQ(files.read(png(kStored, 8, block)), kStored);
  std::string far = whole;
  far.replace(4, 4, number(0xFFFFFFF0, 4));  // the directory lies beyond the end
  EXPECT_EQ(files.read(png(kStored, 8, far)), kStored);
}

TEST(PictureOrientation, ImagesAsInputsAreTurned) {
  const Files files;
  Port port{.name = "x", .type = ElementType::kUint8, .shape = {1, 3, 2, 1}, .bytes = 6};
  const TensorBytes value = read_input(files.write(png(kStored, 8, tiff(6, true))), port);
  EXPECT_EQ(value, (TensorBytes{std::byte{3}, std::byte{0}, std::byte{4}, std::byte{1},
                                std::byte{5}, std::byte{2}}));
}

TEST(PictureDepth, UpperByteOf16BitsCounts) {
  const Files files;
  EXPECT_EQ(files.read(png({{0, 255, 256, 0x80FF, 65535}}, 16)), (Rows{{0, 0, 1, 0x80, 255}}));
}

}  // namespace
}  // namespace segue
