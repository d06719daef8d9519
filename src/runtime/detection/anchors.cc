#include "runtime/detection/anchors.h"

#include <array>
#include <cmath>
#include <numbers>

namespace segue::detection {
namespace {

constexpr std::array kShapes{1.0, 2.0, 0.5};  // width / height

// A box of each shape around one cell, relative to the input.
struct BaseBox {
  double height = 0;
  double width = 0;
};

BaseBox base_box(double scale, double shape, double height, double width) {
  return {scale / std::sqrt(shape) * height, scale * std::sqrt(shape) * width};
}

// Anchors of one grid, cell by cell. `offset` and `stride` are relative to the input.
void add_grid(std::vector<Anchor>& anchors, Grid grid, const std::vector<BaseBox>& boxes,
              BaseBox stride, BaseBox offset) {
  for (std::int32_t row = 0; row < grid.height; ++row) {
    for (std::int32_t column = 0; column < grid.width; ++column) {
      for (const BaseBox& box : boxes) {
        anchors.push_back({static_cast<float>(offset.height + row * stride.height),
                           static_cast<float>(offset.width + column * stride.width),
                           static_cast<float>(box.height), static_cast<float>(box.width)});
      }
    }
  }
}

std::vector<BaseBox> ssd_boxes(int layer, PictureSize input) {
  constexpr int kLayers = 6;
  constexpr double kSmallest = 0.2;
  constexpr double kLargest = 0.95;
  const auto scale_of = [](int of) {
    return of == kLayers ? 1.0 : kSmallest + (kLargest - kSmallest) * of / (kLayers - 1);
  };
  // Scales refer to the shorter side.
  const double shorter = std::min(input.height, input.width);
  const double height = shorter / input.height;
  const double width = shorter / input.width;
  const double scale = scale_of(layer);
  if (layer == 0) {
    return {base_box(0.1, 1.0, height, width), base_box(scale, 2.0, height, width),
            base_box(scale, 0.5, height, width)};
  }
  std::vector<BaseBox> boxes;
  for (const double shape : {1.0, 2.0, 0.5, 3.0, 0.3333})
    boxes.push_back(base_box(scale, shape, height, width));
  boxes.push_back(base_box(std::sqrt(scale * scale_of(layer + 1)), 1.0, height, width));
  return boxes;
}

}  // namespace

Grid grid_of(PictureSize input, std::int32_t stride) {
  return {(input.height + stride - 1) / stride, (input.width + stride - 1) / stride};
}

std::vector<Anchor> ssd_anchors(PictureSize input) {
  constexpr int kLayers = 6;
  std::vector<Anchor> anchors;
  Grid grid = grid_of(input, 16);
  for (int layer = 0; layer < kLayers; ++layer) {
    const BaseBox stride{1.0 / grid.height, 1.0 / grid.width};
    add_grid(anchors, grid, ssd_boxes(layer, input), stride, {stride.height / 2, stride.width / 2});
    grid = grid_of(grid, 2);
  }
  return anchors;
}

std::vector<Anchor> pyramid_anchors(PictureSize input) {
  constexpr double kSizeInStrides = 4;
  std::vector<Anchor> anchors;
  for (std::int32_t level = kFirstLevel; level <= kLastLevel; ++level) {
    const std::int32_t stride = 1 << level;
    const BaseBox relative{static_cast<double>(stride) / input.height,
                           static_cast<double>(stride) / input.width};
    std::vector<BaseBox> boxes;
    for (const double shape : kShapes) {
      for (const double scale : {1.0, std::numbers::sqrt2})
        boxes.push_back(base_box(kSizeInStrides * scale, shape, relative.height, relative.width));
    }
    // Where the stride does not divide the input, the first cell is centred on its edge.
    const BaseBox offset{input.height % stride == 0 ? relative.height / 2 : 0,
                         input.width % stride == 0 ? relative.width / 2 : 0};
    add_grid(anchors, grid_of(input, stride), boxes, relative, offset);
  }
  return anchors;
}

std::vector<Anchor> efficientdet_anchors(PictureSize input) {
  constexpr int kScales = 3;
  // Lite 0, 1, 2 and 3x. Lite 4 also has 640 pixels, but 4 strides.
  const bool has_three_strides =
      input.height == input.width &&
      (input.height == 320 || input.height == 384 || input.height == 448 || input.height == 640);
  const double size_in_strides = has_three_strides ? 3 : 4;
  std::vector<Anchor> anchors;
  for (std::int32_t level = kFirstLevel; level <= kLastLevel; ++level) {
    const Grid grid = grid_of(input, 1 << level);
    const BaseBox stride{1.0 / grid.height, 1.0 / grid.width};
    std::vector<BaseBox> boxes;
    for (int octave = 0; octave < kScales; ++octave) {
      const double scale = size_in_strides * std::exp2(static_cast<double>(octave) / kScales);
      for (const double shape : kShapes)
        boxes.push_back(base_box(scale, shape, stride.height, stride.width));
    }
    add_grid(anchors, grid, boxes, stride, {stride.height / 2, stride.width / 2});
  }
  return anchors;
}

}  // namespace segue::detection
