#include "runtime/detection/placement.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "runtime/picture.h"
#include "segue/error.h"

namespace segue::detection {
namespace {

// Rounds to the nearest integer, and halves to the even integer, as Python's round does.
int rounded(double value) { return static_cast<int>(std::nearbyint(value)); }

struct Rectangle {
  int left = 0;
  int top = 0;
  int width = 0;
  int height = 0;
};

// Returns the pixels of the input that the picture covers.
Rectangle covered(const PicturePlacement& placement, const Port& input, Fit fit) {
  if (fit == Fit::kStretch) return {0, 0, input.shape[2], input.shape[1]};
  return {static_cast<int>(placement.left), static_cast<int>(placement.top),
          rounded(placement.width * placement.scale_x),
          rounded(placement.height * placement.scale_y)};
}

float clipped(double value, std::uint32_t extent) {
  return static_cast<float>(std::clamp(value, 0.0, static_cast<double>(extent)));
}

}  // namespace

PicturePlacement place(std::uint32_t width, std::uint32_t height, const Port& input, Fit fit) {
  if (width == 0 || height == 0 || width > kMostPictureExtent || height > kMostPictureExtent) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("a picture of {} x {} pixels cannot be prepared; both must be 1 to {}",
                            width, height, kMostPictureExtent));
  }
  const double in_width = input.shape[2];
  const double in_height = input.shape[1];
  PicturePlacement placement{width, height, in_width / width, in_height / height, 0, 0};
  if (fit == Fit::kStretch) return placement;
  const double scale = std::min(placement.scale_x, placement.scale_y);
  const int fitted_width = std::max(rounded(width * scale), 1);
  const int fitted_height = std::max(rounded(height * scale), 1);
  placement.scale_x = static_cast<double>(fitted_width) / width;
  placement.scale_y = static_cast<double>(fitted_height) / height;
  // Half a pixel goes to the right and to the bottom, as in LetterBox of ultralytics.
  constexpr double kTowardsStart = 0.1;
  placement.left = rounded((in_width - fitted_width) / 2 - kTowardsStart);
  placement.top = rounded((in_height - fitted_height) / 2 - kTowardsStart);
  return placement;
}

std::vector<std::uint8_t> fill_input(std::span<const std::uint8_t> rgb,
                                     const PicturePlacement& placement, const Port& input,
                                     Fit fit) {
  constexpr int kChannels = 3;
  constexpr std::uint8_t kGrey = 114;
  const int row_bytes = input.shape[2] * kChannels;
  std::vector<std::uint8_t> pixels(
      static_cast<std::size_t>(input.shape[1]) * static_cast<std::size_t>(row_bytes), kGrey);
  const Rectangle to = covered(placement, input, fit);
  const std::ptrdiff_t first =
      static_cast<std::ptrdiff_t>(to.top) * row_bytes + to.left * kChannels;
  resize_picture(rgb.data(), static_cast<int>(placement.width), static_cast<int>(placement.height),
                 kChannels, {pixels.data() + first, to.width, to.height, row_bytes});
  return pixels;
}

void check_placement(const PicturePlacement& placement) {
  const auto is_extent = [](double value) { return std::isfinite(value) && value > 0; };
  if (placement.width > 0 && placement.height > 0 && is_extent(placement.scale_x) &&
      is_extent(placement.scale_y) && std::isfinite(placement.left) && std::isfinite(placement.top))
    return;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("the placement of a picture of {} x {} pixels has scales {} and {} at "
                          "({}, {}); pass the one that `prepare` returned",
                          placement.width, placement.height, placement.scale_x, placement.scale_y,
                          placement.left, placement.top));
}

void add_to_picture(const Detection& box, const PicturePlacement& placement,
                    std::vector<Detection>& found) {
  const auto x = [&](float value) {
    return clipped((value - placement.left) / placement.scale_x, placement.width);
  };
  const auto y = [&](float value) {
    return clipped((value - placement.top) / placement.scale_y, placement.height);
  };
  const Detection inside{x(box.left),   y(box.top), x(box.right),
                         y(box.bottom), box.score,  box.class_id};
  if (inside.left < inside.right && inside.top < inside.bottom) found.push_back(inside);
}

}  // namespace segue::detection
