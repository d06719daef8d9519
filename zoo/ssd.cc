// SSD detectors (Liu et al. 2016) as TensorFlow's Object Detection API 2.8 defines and exports
// them, with post-processing: MobileNetV2 at 300 pixels, MobileNet with a feature pyramid at 640,
// and MobileDet for the Edge TPU (Xiong et al. 2020) at 320. The classes are those of COCO, 1 ..
// 90.
#include <array>
#include <cmath>

#include "zoo/backbones.h"
#include "zoo/detection.h"
#include "zoo/internal/architectures.h"

namespace segue::zoo {
namespace {

constexpr std::int32_t kCocoClasses = 91;  // with the background
constexpr std::int32_t kBoxNumbers = 4;

ConvOptions ssd_conv(const Window& window, std::int32_t filters,
                     Activation activation = Activation::kRelu6) {
  return {window, filters, false, Norm::kBatch, activation};
}

ValueId ssd_input(Network& net, std::int32_t size) {
  net.keep_order();
  const ValueId x =
      net.input({size, size, 3}, "normalized_input_image_tensor", {}, ElementType::kUint8);
  return net.quantize(x, "normalized_input_image_tensor/quantize");
}

// Levels of decreasing resolution, each with a predictor and the anchors of the SSD paper.
class SsdLevels {
 public:
  SsdLevels(Network& net, bool is_depthwise)
      : net_(net), is_depthwise_(is_depthwise), detections_(net, kCocoClasses) {}

  // Adds the predictor of a level. The last level also joins all levels.
  void predict(ValueId x) {
    const bool is_last = number_ + 1 == kLevels;
    const std::vector<AnchorSize> sizes = anchor_sizes();
    const auto count = static_cast<std::int32_t>(sizes.size());
    const Shape& map = net_.shape(x);
    const double stride = 1.0 / map.height;
    add_anchors(anchors_, {map.height, map.width, stride, stride / 2}, sizes);
    const std::string name = "BoxPredictor_" + std::to_string(number_++) + "/";
    detections_.add_boxes(predictor(x, count * kBoxNumbers, name + "BoxEncodingPredictor"),
                          name + "Reshape", true);
    if (is_last) detections_.join_boxes();
    detections_.add_scores(predictor(x, count * kCocoClasses, name + "ClassPredictor"),
                           name + "Reshape_1");
    if (!is_last) return;
    detections_.join_scores();
    detections_.finish(anchors_, {});
  }

  // Adds levels after the backbone, each with half the resolution of the previous one.
  void add_extra_levels(ValueId x) {
    constexpr std::array<std::array<std::int32_t, 2>, 4> kExtras{
        {{256, 512}, {128, 256}, {128, 256}, {64, 128}}};
    for (std::size_t i = 0; i < kExtras.size(); ++i) {
      const std::string name = "extra_" + std::to_string(i + 2);
      x = net_.conv(x, ssd_conv(square(1), kExtras[i][0]), name + "_1x1", name + "_1x1_relu");
      if (is_depthwise_) {
        x = net_.depthwise(x, ssd_conv(square(3, 2), 0), name + "_dw", name + "_dw_relu");
        x = net_.conv(x, ssd_conv(square(1), kExtras[i][1]), name, name + "_relu");
      } else {
        x = net_.conv(x, ssd_conv(square(3, 2), kExtras[i][1]), name, name + "_relu");
      }
      predict(x);
    }
  }

 private:
  static constexpr int kLevels = 6;

  static double scale(int level) { return level == kLevels ? 1.0 : 0.2 + 0.15 * level; }

  [[nodiscard]] std::vector<AnchorSize> anchor_sizes() const {
    const double small = scale(number_);
    if (number_ == 0) return {{0.1, 1}, {small, 2}, {small, 0.5}};
    const double between = std::sqrt(small * scale(number_ + 1));
    return {{small, 1}, {small, 2}, {small, 0.5}, {small, 3}, {small, 0.3333}, {between, 1}};
  }

  ValueId predictor(ValueId x, std::int32_t filters, const std::string& name) {
    if (is_depthwise_)
      x = net_.depthwise(x, ssd_conv(square(3), 0), name + "_depthwise", name + "_depthwise_relu");
    return net_.conv(x, {square(1), filters, true}, name, name + "/BiasAdd");
  }

  Network& net_;
  bool is_depthwise_;
  int number_ = 0;
  Detections detections_;
  Anchors anchors_;
};

// A feature pyramid of five levels, whose predictors share their kernels.
class Pyramid {
 public:
  explicit Pyramid(Network& net) : net_(net) {}

  ValueId lateral(ValueId x, int level) {
    const std::string name = "projection_" + std::to_string(level);
    return net_.conv(x, {square(1), kDepth, true}, name, name + "/BiasAdd");
  }

  // Builds the pyramid from the laterals of strides 8, 16 and 32.
  void build(const std::array<ValueId, 3>& laterals) {
    const ValueId middle =
        smoothed(net_.add(doubled(laterals[2]), laterals[1], Activation::kNone, "top_down_4"), 1,
                 "smoothing_2");
    const ValueId fine = smoothed(
        net_.add(doubled(middle), laterals[0], Activation::kNone, "top_down_3"), 1, "smoothing_1");
    const ValueId coarse = smoothed(laterals[2], 2, "bottom_up_block5");
    levels_ = {fine, middle, laterals[2], coarse, smoothed(coarse, 2, "bottom_up_block6")};
  }

  void predict(std::int32_t size) {
    constexpr std::int32_t kAnchorsPerPosition = 6;
    const auto box_towers = towers("BoxPredictionTower");
    const auto class_towers = towers("ClassPredictionTower");
    Detections detections(net_, kCocoClasses);
    Anchors anchors;
    for (std::size_t i = 0; i < kLevels; ++i) {
      const ValueId x =
          predictor(box_towers[i], i, kAnchorsPerPosition * kBoxNumbers, "BoxPredictor");
      detections.add_boxes(x, "BoxPredictor_" + std::to_string(i) + "/Reshape", false);
      anchors_of(anchors, i, size);
    }
    detections.join_boxes();
    for (std::size_t i = 0; i < kLevels; ++i) {
      const ValueId x =
          predictor(class_towers[i], i, kAnchorsPerPosition * kCocoClasses, "ClassPredictor");
      detections.add_scores(x, "ClassPredictor_" + std::to_string(i) + "/Reshape");
    }
    detections.join_scores();
    detections.finish(anchors, {});
  }

 private:
  static constexpr std::int32_t kDepth = 256;
  static constexpr std::size_t kLevels = 5;
  static constexpr int kTowerLayers = 4;
  using Levels = std::array<ValueId, kLevels>;

  ValueId smoothed(ValueId x, std::int32_t stride, const std::string& name) {
    return net_.conv(x, ssd_conv(square(3, stride), kDepth), name, name + "_relu");
  }

  // Repeats each pixel twice in both directions, by stacking and reshaping.
  ValueId doubled(ValueId x) {
    const Shape from = net_.shape(x);
    const std::string name = net_.auto_name("nearest_neighbor_upsampling");
    x = net_.pack_twice(x, 3, name + "/stack");
    x = net_.reshape(x, {from.height, 2 * from.width, from.channels}, name + "/Reshape");
    x = net_.pack_twice(x, 2, name + "/stack_1");
    return net_.reshape(x, {2 * from.height, 2 * from.width, from.channels}, name + "/Reshape_1");
  }

  Levels towers(const std::string& name) {
    Levels levels = levels_;
    for (int layer = 0; layer < kTowerLayers; ++layer) {
      for (std::size_t i = 0; i < kLevels; ++i) {
        ConvOptions options = ssd_conv(square(3), kDepth);
        options.is_counted = i == 0;
        const std::string at =
            name + "/conv2d_" + std::to_string(layer) + "/level_" + std::to_string(i);
        levels.at(i) = net_.conv(levels.at(i), options, at, at + "/Relu6");
      }
    }
    return levels;
  }

  ValueId predictor(ValueId x, std::size_t level, std::int32_t filters, const std::string& name) {
    ConvOptions options{square(3), filters, true};
    options.is_counted = level == 0;
    return net_.conv(x, options, name, name + "_" + std::to_string(level) + "/BiasAdd");
  }

  void anchors_of(Anchors& anchors, std::size_t level, std::int32_t size) const {
    constexpr double kAnchorScale = 4;
    const Shape& map = net_.shape(levels_.at(level));
    const std::int32_t pixels = 8 << level;
    const double stride = static_cast<double>(pixels) / size;
    const double offset = size % pixels == 0 ? stride / 2 : 0;
    std::vector<AnchorSize> sizes;
    for (const double ratio : {1.0, 2.0, 0.5})
      for (const double octave : {1.0, std::sqrt(2.0)})
        sizes.push_back({kAnchorScale * stride * octave, ratio});
    add_anchors(anchors, {map.height, map.width, stride, offset}, sizes);
  }

  Network& net_;
  Levels levels_{};
};

// How a block of MobileDet expands: in one convolution of the whole window, in a pointwise and a
// depthwise one, or not at all, with two compressions instead.
enum class Expansion { kFused, kInverted, kTucker };

struct DetBlock {
  Expansion kind;
  std::int32_t filters;
  std::int32_t expansion = 0;
  std::int32_t kernel = 3;
  std::int32_t stride = 1;
  bool has_residual = true;
};

constexpr std::array<DetBlock, 22> kMobileDet{{
    {Expansion::kTucker, 16, 0, 3, 1, false},
    {Expansion::kFused, 16, 8, 3, 2, false},
    {Expansion::kFused, 16, 4},
    {Expansion::kFused, 16, 8},
    {Expansion::kFused, 16, 4},
    {Expansion::kFused, 40, 8, 5, 2, false},
    {Expansion::kFused, 40, 4},
    {Expansion::kFused, 40, 4},
    {Expansion::kFused, 40, 4},
    {Expansion::kInverted, 72, 8, 3, 2, false},
    {Expansion::kInverted, 72, 8},
    {Expansion::kFused, 72, 4},
    {Expansion::kFused, 72, 4},
    {Expansion::kInverted, 96, 8, 5, 1, false},
    {Expansion::kInverted, 96, 8, 5},
    {Expansion::kInverted, 96, 8},
    {Expansion::kInverted, 96, 8},
    {Expansion::kInverted, 120, 8, 5, 2, false},
    {Expansion::kInverted, 120, 8},
    {Expansion::kInverted, 120, 4, 5},
    {Expansion::kInverted, 120, 8},
    {Expansion::kInverted, 384, 8, 5, 1, false},
}};

ValueId det_block(Network& net, ValueId x, const DetBlock& block, const std::string& name) {
  constexpr std::int32_t kRank = 8;  // a quarter of 32 channels
  const std::int32_t channels = net.shape(x).channels;
  const Window window = square(block.kernel, block.stride);
  ValueId y = x;
  switch (block.kind) {
    case Expansion::kTucker:
      y = net.conv(y, ssd_conv(square(1), kRank), name + "/Conv", name + "/Conv/Relu6");
      y = net.conv(y, ssd_conv(window, 2 * kRank), name + "/Conv_1", name + "/Conv_1/Relu6");
      break;
    case Expansion::kFused:
      y = net.conv(y, ssd_conv(window, channels * block.expansion), name + "/Conv",
                   name + "/Conv/Relu6");
      break;
    case Expansion::kInverted:
      y = net.conv(y, ssd_conv(square(1), channels * block.expansion), name + "/Conv",
                   name + "/Conv/Relu6");
      y = net.depthwise(y, ssd_conv(window, 0), name + "/SeparableConv2d",
                        name + "/SeparableConv2d/Relu6");
      break;
  }
  y = net.conv(y, ssd_conv(square(1), block.filters, Activation::kNone), name + "/Project",
               name + "/Project/Identity");
  return block.has_residual ? net.add(y, x, Activation::kNone, name + "/add") : y;
}

}  // namespace

Network ssd_mobilenet_v2(std::int32_t size) {
  Network net("ssdmobilenetv2");
  SsdLevels levels(net, false);
  const ValueId image = ssd_input(net, size);
  ValueId x = mobilenet_v2_features(net, image, [&](int number, ValueId expanded) {
    constexpr int kFirstOfStride32 = 13;
    if (number == kFirstOfStride32) levels.predict(expanded);
  });
  x = net.conv(x, ssd_conv(square(1), 1280), "Conv_1", "out_relu");
  levels.predict(x);
  levels.add_extra_levels(x);
  return net;
}

Network ssd_mobilenet_v1_fpn(std::int32_t size) {
  Network net("ssdmobilenetv1fpn");
  Pyramid pyramid(net);
  std::array<ValueId, 3> laterals{};
  (void)mobilenet_features(net, ssd_input(net, size), 1, [&](int number, ValueId x) {
    if (number == 5) laterals[0] = pyramid.lateral(x, 1);
    if (number == 11) laterals[1] = pyramid.lateral(x, 2);
    if (number == 13) laterals[2] = pyramid.lateral(x, 3);
  });
  pyramid.build(laterals);
  pyramid.predict(size);
  return net;
}

Network ssdlite_mobiledet(std::int32_t size) {
  Network net("ssdlitemobiledet");
  SsdLevels levels(net, true);
  ValueId x = net.conv(ssd_input(net, size), ssd_conv(square(3, 2), 32), "Conv", "Conv/Relu6");
  for (std::size_t i = 0; i < kMobileDet.size(); ++i) {
    x = det_block(net, x, kMobileDet[i], "Block_" + std::to_string(i));
    constexpr std::size_t kLastOfStride16 = 16;
    if (i == kLastOfStride16) levels.predict(x);
  }
  levels.predict(x);
  levels.add_extra_levels(x);
  return net;
}

}  // namespace segue::zoo
