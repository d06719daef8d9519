#include "cli/draw.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <string>

#include "cli/written.h"
#include "segue/error.h"
#include "segue/file.h"

#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#include <stb/stb_easy_font.h>
#include <stb/stb_image_write.h>

namespace segue::cli {
namespace {

using Colour = std::array<std::uint8_t, 3>;

// Colours of the classes, in turn. They also differ in lightness.
constexpr std::array<Colour, 8> kColours{{{230, 60, 60},
                                          {40, 160, 60},
                                          {60, 100, 230},
                                          {240, 160, 20},
                                          {150, 60, 200},
                                          {20, 170, 180},
                                          {220, 80, 160},
                                          {130, 110, 40}}};

class Canvas {
 public:
  explicit Canvas(Picture& picture)
      : picture_(picture),
        width_(static_cast<int>(picture.width)),
        height_(static_cast<int>(picture.height)) {}

  [[nodiscard]] int width() const { return width_; }
  [[nodiscard]] int height() const { return height_; }

  // Fills the part of [left, right) x [top, bottom) that is inside the picture.
  void fill(int left, int top, int right, int bottom, Colour colour) {
    for (int y = std::max(top, 0); y < std::min(bottom, height_); ++y) {
      for (int x = std::max(left, 0); x < std::min(right, width_); ++x) {
        const auto at =
            (static_cast<std::size_t>(y) * picture_.width + static_cast<std::size_t>(x));
        std::ranges::copy(colour, picture_.rgb.begin() + static_cast<std::ptrdiff_t>(3 * at));
      }
    }
  }

 private:
  Picture& picture_;
  int width_;
  int height_;
};

// Replaces characters that are not ASCII: for them, the font would read beyond the end of its
// tables.
std::string drawable(const std::string& text) {
  std::string result = text.substr(0, 60);
  for (char& c : result) {
    if (c < ' ' || c > '~') c = '?';
  }
  return result;
}

void write_text(Canvas& canvas, int left, int top, int scale, std::string text) {
  struct Corner {
    float x, y, z;
    std::uint32_t colour;
  };
  std::array<std::array<Corner, 4>, 1024> quads{};
  const int count =
      stb_easy_font_print(0, 0, text.data(), nullptr, quads.data(), static_cast<int>(sizeof quads));
  constexpr Colour kWhite{255, 255, 255};
  for (int i = 0; i < count; ++i) {
    const auto& quad = quads.at(static_cast<std::size_t>(i));
    const auto [x0, y0] = std::pair(static_cast<int>(quad[0].x), static_cast<int>(quad[0].y));
    const auto [x1, y1] = std::pair(static_cast<int>(quad[2].x), static_cast<int>(quad[2].y));
    canvas.fill(left + scale * x0, top + scale * y0, left + scale * x1, top + scale * y1, kWhite);
  }
}

void draw(Canvas& canvas, const LabelledDetection& detection) {
  const Detection& box = detection.box;
  const Colour colour = kColours.at(box.class_id % kColours.size());
  const int scale = 1 + std::min(canvas.width(), canvas.height()) / 800;
  const int line = 2 * scale;
  const auto pixel = [](float value) { return static_cast<int>(std::lround(value)); };
  const int left = pixel(box.left);
  const int top = pixel(box.top);
  const int right = pixel(box.right);
  const int bottom = pixel(box.bottom);
  canvas.fill(left, top, right, top + line, colour);
  canvas.fill(left, bottom - line, right, bottom, colour);
  canvas.fill(left, top, left + line, bottom, colour);
  canvas.fill(right - line, top, right, bottom, colour);
  std::string text = drawable(fmt::format("{} {:.2f}", class_name(detection), box.score));
  constexpr int kLineHeight = 12;
  const int height = scale * (kLineHeight - 1);
  const int width = scale * (stb_easy_font_width(text.data()) + 4);
  const int text_top = top >= height ? top - height : top;  // above the box if there is room
  const int text_left = std::max(std::min(left, canvas.width() - width), 0);
  canvas.fill(text_left, text_top, text_left + width, text_top + height, colour);
  write_text(canvas, text_left + 2 * scale, text_top + 2 * scale, scale, text);
}

}  // namespace

void draw_detections(const std::filesystem::path& path, Picture picture,
                     const DetectedInput& detected) {
  Canvas canvas(picture);
  for (std::size_t i = detected.boxes.size(); i-- > 0;) draw(canvas, detected.boxes[i]);
  std::string file;
  const auto append = [](void* context, void* data, int bytes) {
    static_cast<std::string*>(context)->append(static_cast<const char*>(data),
                                               static_cast<std::size_t>(bytes));
  };
  if (stbi_write_png_to_func(append, &file, canvas.width(), canvas.height(), 3, picture.rgb.data(),
                             canvas.width() * 3) == 0)
    throw Error(ErrorCode::kIo, fmt::format("{}: the picture cannot be encoded", path.string()));
  write_noted(path, file);
}

}  // namespace segue::cli
