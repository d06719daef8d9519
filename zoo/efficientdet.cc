// EfficientDet-Lite (Tan et al. 2020) as TensorFlow Lite Model Maker 0.4 defines and exports it,
// with post-processing. It consists of EfficientNet-Lite, cells that combine features down and up
// five levels, and separable convolutions with shared kernels that predict at each level.
#include <array>
#include <cmath>
#include <limits>

#include "zoo/backbones.h"
#include "zoo/detection.h"
#include "zoo/internal/architectures.h"

namespace segue::zoo {
namespace {

constexpr std::size_t kDetLevels = 5;  // strides 8 .. 128
constexpr std::int32_t kDetClasses = 90;
constexpr std::int32_t kAnchorsPerPosition = 9;
using DetLevels = std::array<ValueId, kDetLevels>;

struct DetScale {
  int backbone;
  std::int32_t filters;
  int cells;
  int head_layers;
  double anchor_scale;
};

DetScale scale_of(std::string_view variant) {
  if (variant == "0") return {0, 64, 3, 3, 3};
  if (variant == "1") return {1, 88, 4, 3, 3};
  if (variant == "2") return {2, 112, 5, 3, 3};
  if (variant == "3") return {3, 160, 6, 4, 4};
  return {3, 200, 6, 4, 3};
}

class EfficientDet {
 public:
  EfficientDet(Network& net, const DetScale& scale)
      : net_(net), scale_(scale), detections_(net, kDetClasses) {}

  void run(const std::array<ValueId, 3>& features) {
    const CellInputs first = resampled(features);
    DetLevels levels = cell(first.down, first.up, 0);
    for (int number = 1; number < scale_.cells; ++number) levels = cell(levels, levels, number);
    Anchors anchors;
    for (std::size_t i = 0; i < kDetLevels; ++i) anchors_of(anchors, levels.at(i));
    join();
    detections_.finish(anchors, {.detections = 25,
                                 .classes = kDetClasses,
                                 .iou_threshold = 0.5,
                                 .score_threshold = -std::numeric_limits<double>::infinity(),
                                 .centre_scale = 1,
                                 .extent_scale = 1});
  }

 private:
  // The inputs of a cell's path down and of its path up. In the first cell, these are two
  // convolutions of one map.
  struct CellInputs {
    DetLevels down;
    DetLevels up;
  };

  ValueId resample(ValueId x, const std::string& name) {
    return net_.conv(x, {square(1), scale_.filters, true, Norm::kBatch}, name + "/conv2d",
                     name + "/bn");
  }

  static Window halving() { return square(3, 2); }

  CellInputs resampled(const std::array<ValueId, 3>& features) {
    CellInputs in{};
    in.down[2] = resample(features[2], "fpn_cells/cell_0/fnode1/resample_0_2_6");
    in.up[2] = resample(features[2], "fpn_cells/cell_0/fnode5/resample_0_2_10");
    in.down[1] = resample(features[1], "fpn_cells/cell_0/fnode2/resample_0_1_7");
    in.up[1] = resample(features[1], "fpn_cells/cell_0/fnode4/resample_0_1_9");
    in.down[0] = resample(features[0], "fpn_cells/cell_0/fnode3/resample_0_0_8");
    ValueId x = resample(features[2], "resample_p6");
    for (std::size_t level = 3; level < kDetLevels; ++level) {
      x = net_.max_pool(x, halving(), "resample_p" + std::to_string(level + 3) + "/MaxPool");
      in.down.at(level) = in.up.at(level) = x;
    }
    return in;
  }

  // A plain depthwise convolution, and a pointwise one with the given options.
  ValueId separable(ValueId x, ConvOptions pointwise, const std::string& shared,
                    const std::string& own) {
    ConvOptions depthwise{.window = square(3)};
    depthwise.is_counted = pointwise.is_counted;
    x = net_.depthwise(x, depthwise, shared + "/depthwise", own + "/depthwise");
    pointwise.has_bias = true;
    const bool has_own_kernel = pointwise.norm != Norm::kNone;
    return net_.conv(x, pointwise, has_own_kernel ? own : shared, own + "/BiasAdd");
  }

  ValueId node(ValueId sum, const std::string& name) {
    return separable(sum, {.window = kPointwise, .filters = scale_.filters, .norm = Norm::kBatch},
                     name, name);
  }

  DetLevels cell(const DetLevels& down, const DetLevels& up, int number) {
    const bool is_last = number + 1 == scale_.cells;
    int count = 0;
    const auto next_name = [&] {
      return "fpn_cells/cell_" + std::to_string(number) + "/fnode" + std::to_string(count++);
    };
    DetLevels way_down = down;
    for (std::size_t level = kDetLevels - 1; level-- > 0;) {
      const std::string name = next_name();
      const Shape& map = net_.shape(down.at(level));
      const ValueId above = net_.resize_nearest(way_down.at(level + 1), map.height, map.width,
                                                false, name + "/resize");
      way_down.at(level) =
          node(net_.add(down.at(level), above, Activation::kRelu6, name + "/add"), name);
    }
    DetLevels way_up = way_down;
    if (is_last) predict(way_up[0], 0);
    for (std::size_t level = 1; level < kDetLevels; ++level) {
      const std::string name = next_name();
      const ValueId below = net_.max_pool(way_up.at(level - 1), halving(), name + "/MaxPool");
      ValueId sum = up.at(level);
      if (level + 1 < kDetLevels)
        sum = net_.add(sum, way_down.at(level), Activation::kNone, name + "/add");
      way_up.at(level) = node(net_.add(sum, below, Activation::kRelu6, name + "/add_1"), name);
      if (is_last) predict(way_up.at(level), level);
    }
    return way_up;
  }

  ValueId head(ValueId x, std::size_t level, std::int32_t outputs, const std::string& name) {
    const std::string at = "/level_" + std::to_string(level);
    for (int layer = 0; layer < scale_.head_layers; ++layer) {
      const std::string shared = name + "_net/" + name + "-" + std::to_string(layer);
      x = separable(x,
                    {.window = kPointwise,
                     .filters = scale_.filters,
                     .norm = Norm::kBatch,
                     .activation = Activation::kRelu6,
                     .is_counted = level == 0},
                    shared, shared + at);
    }
    const std::string shared = name + "_net/" + name + "-predict";
    return separable(x, {.window = kPointwise, .filters = outputs, .is_counted = level == 0},
                     shared, shared + at);
  }

  void predict(ValueId x, std::size_t level) {
    boxes_.at(level) = head(x, level, kAnchorsPerPosition * 4, "box");
    classes_.at(level) = head(x, level, kAnchorsPerPosition * kDetClasses, "class");
  }

  void join() {
    const auto name = [](std::size_t level) { return "Reshape_" + std::to_string(level); };
    for (std::size_t i = 0; i < kDetLevels; ++i) {
      detections_.add_scores(classes_.at(i), name(2 * i));
      if (i + 1 < kDetLevels) detections_.add_boxes(boxes_.at(i), name(2 * i + 1), false);
    }
    detections_.join_scores();
    detections_.add_boxes(boxes_.back(), name(2 * kDetLevels - 1), false);
    detections_.join_boxes();
  }

  void anchors_of(Anchors& anchors, ValueId x) const {
    constexpr double kOctaves = 3;
    const Shape& map = net_.shape(x);
    const double stride = 1.0 / map.height;
    std::vector<AnchorSize> sizes;
    for (int octave = 0; octave < kOctaves; ++octave)
      for (const double ratio : {1.0, 2.0, 0.5})
        sizes.push_back({scale_.anchor_scale * stride * std::exp2(octave / kOctaves), ratio});
    add_anchors(anchors, {map.height, map.width, stride, stride / 2}, sizes);
  }

  Network& net_;
  DetScale scale_;
  Detections detections_;
  DetLevels boxes_{};
  DetLevels classes_{};
};

}  // namespace

Network efficientdet_lite(const std::string& variant, std::int32_t size) {
  Network net("efficientdetlite" + variant);
  net.keep_order();
  const DetScale scale = scale_of(variant);
  ValueId x = net.input({size, size, 3}, "images", {}, ElementType::kUint8);
  x = net.quantize(x, "images/quantize");
  EfficientDet(net, scale).run(efficientnet_lite_features(net, x, scale.backbone));
  return net;
}

}  // namespace segue::zoo
