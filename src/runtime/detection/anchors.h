// The reference boxes of TensorFlow's detectors, computed from the size of the input.
//
// Sources: tensorflow/models, research/object_detection/anchor_generators (multiple_grid and
// multiscale_grid); google/automl, efficientdet/tf2/anchors.py and hparams_config.py; read
// 2026-11-30. Tests compare with tables of published models.
#pragma once

#include <cstdint>
#include <vector>

#include "segue/detection.h"

namespace segue::detection {

struct PictureSize {
  std::int32_t height = 0;
  std::int32_t width = 0;
};

// Rows and columns of a grid of cells.
using Grid = PictureSize;

// Levels 3 to 7 of a feature pyramid: strides 8 to 128.
inline constexpr std::int32_t kFirstLevel = 3;
inline constexpr std::int32_t kLastLevel = 7;

// Returns the grid whose cells are `stride` pixels wide and high. A remainder at the edge gets a
// cell too.
[[nodiscard]] Grid grid_of(PictureSize input, std::int32_t stride);

// SSD with six layers: three anchors per cell in the first layer, six in the others.
[[nodiscard]] std::vector<Anchor> ssd_anchors(PictureSize input);

// SSD with a feature pyramid: three shapes, two scales.
inline constexpr std::int32_t kPyramidAnchors = 6;
[[nodiscard]] std::vector<Anchor> pyramid_anchors(PictureSize input);

// EfficientDet: three scales, three shapes.
inline constexpr std::int32_t kEfficientDetAnchors = 9;
[[nodiscard]] std::vector<Anchor> efficientdet_anchors(PictureSize input);

}  // namespace segue::detection
