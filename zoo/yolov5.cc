// YOLOv5 (Ultralytics 2020) as release 7.0 defines it and its export to TensorFlow Lite writes it,
// with the detection head. Boxes are shares of the image. Input and output are uint8.
#include "zoo/internal/architectures.h"
#include "zoo/yolo.h"

namespace segue::zoo {
namespace {

constexpr std::int32_t kAnchors = 3;  // per position
constexpr std::int32_t kPredictions = 5 + kYoloClasses;
// Width and height in pixels, for strides 8, 16 and 32.
constexpr std::array<std::array<float, 2 * kAnchors>, kYoloLevels> kAnchorSizes{
    {{10, 13, 16, 30, 33, 23}, {30, 61, 62, 45, 59, 119}, {116, 90, 156, 198, 373, 326}}};

// Bottlenecks in parallel with a convolution, each with half of the filters.
ValueId c3(Network& net, ValueId x, std::int32_t filters, int repeats, bool adds,
           const std::string& name) {
  const std::int32_t half = filters / 2;
  ValueId y = yolo_conv(net, x, half, 1, 1, name + "/cv1");
  for (int i = 0; i < repeats; ++i) {
    const std::string bottleneck = name + "/m." + std::to_string(i);
    ValueId z = yolo_conv(net, y, half, 1, 1, bottleneck + "/cv1");
    z = yolo_conv(net, z, half, 3, 1, bottleneck + "/cv2");
    y = adds ? net.add(y, z, Activation::kNone, bottleneck + "/add") : z;
  }
  const ValueId beside = yolo_conv(net, x, half, 1, 1, name + "/cv2");
  return yolo_conv(net, net.concat({y, beside}, name + "/concat"), filters, 1, 1, name + "/cv3");
}

YoloLevels v5_features(Network& net, ValueId x, const YoloScale& scale) {
  int number = 0;
  const auto conv = [&](ValueId from, std::int32_t filters, std::int32_t kernel,
                        std::int32_t stride) {
    return yolo_conv(net, from, scale.channels(filters), kernel, stride, yolo_layer(number++));
  };
  const auto blocks = [&](ValueId from, std::int32_t filters, int repeats, bool adds) {
    return c3(net, from, scale.channels(filters), scale.repeats(repeats), adds,
              yolo_layer(number++));
  };
  const auto joined = [&](ValueId a, ValueId b) {
    return net.concat({a, b}, yolo_layer(number++) + "/concat");
  };
  const auto upsampled = [&](ValueId from) {
    const std::string name = yolo_layer(number++);
    const Shape shape = net.shape(from);
    return net.resize_nearest(net.quantize(from, name + "/quantize"), 2 * shape.height,
                              2 * shape.width, true, name + "/resize");
  };
  x = conv(conv(x, 64, 6, 2), 128, 3, 2);
  x = conv(blocks(x, 128, 3, true), 256, 3, 2);
  const ValueId p3 = blocks(x, 256, 6, true);
  const ValueId p4 = blocks(conv(p3, 512, 3, 2), 512, 9, true);
  x = blocks(conv(p4, 1024, 3, 2), 1024, 3, true);
  x = yolo_pyramid(net, x, scale.channels(1024), yolo_layer(number++));
  const ValueId coarse = conv(x, 512, 1, 1);
  x = blocks(joined(upsampled(coarse), p4), 512, 3, false);
  const ValueId middle = conv(x, 256, 1, 1);
  const ValueId fine = blocks(joined(upsampled(middle), p3), 256, 3, false);
  const ValueId medium = blocks(joined(conv(fine, 256, 3, 2), middle), 512, 3, false);
  x = conv(medium, 512, 3, 2);
  return {fine, medium, blocks(joined(x, coarse), 1024, 3, false)};
}

struct Head {
  Network& net;
  Shape image;

  [[nodiscard]] Constant image_shares() const {
    return {{1, 2}, {1 / static_cast<float>(image.width), 1 / static_cast<float>(image.height)}};
  }

  ValueId sigmoid_of(ValueId all, std::int32_t begin, std::int32_t end, const std::string& name) {
    const ValueId part =
        net.slice(all, {3, begin, end}, SliceBounds::kMasked, name + "/strided_slice");
    return net.unary(OpCode::kLogistic, part, name + "/Sigmoid");
  }

  ValueId centres(ValueId all, const Shape& map, const std::string& name) {
    Constant grid{{1, map.height * map.width, 1, 2}, {}};
    for (std::int32_t i = 0; i < map.height * map.width; ++i) {
      grid.values.push_back(static_cast<float>(i % map.width) - 0.5F);
      grid.values.push_back(static_cast<float>(i / map.width) - 0.5F);
    }
    const auto stride = static_cast<float>(image.width / map.width);
    ValueId x = sigmoid_of(all, 0, 2, name);
    x = net.binary(OpCode::kMul, x, {{}, {2.0F}}, name + "/mul");
    x = net.binary(OpCode::kAdd, x, std::move(grid), name + "/add");
    x = net.binary(OpCode::kMul, x, {{}, {stride}}, name + "/mul_1");
    return net.binary(OpCode::kMul, x, image_shares(), name + "/mul_2");
  }

  ValueId extents(ValueId all, std::size_t level, const std::string& name) {
    Constant anchors{{1, 1, kAnchors, 2}, {}};
    for (const float size : kAnchorSizes.at(level)) anchors.values.push_back(4 * size);
    ValueId x = sigmoid_of(all, 2, 4, name);
    x = net.binary(OpCode::kMul, x, x, name + "/pow");
    x = net.binary(OpCode::kMul, x, std::move(anchors), name + "/mul");
    return net.binary(OpCode::kMul, x, image_shares(), name + "/mul_1");
  }

  // Returns boxes and scores of one level as [1, positions * anchors, predictions].
  ValueId run(ValueId x, std::size_t level) {
    const Shape map = net.shape(x);
    const std::string name = "model.24/m." + std::to_string(level);
    const std::int32_t positions = map.height * map.width;
    x = net.conv(x, {kPointwise, kAnchors * kPredictions, true}, name, name + "/conv");
    x = net.reshape(x, {positions, kAnchors, kPredictions}, name + "/reshape",
                    {-1, positions, kAnchors, kPredictions});
    const ValueId xy = centres(x, map, name + "/xy");
    const ValueId wh = extents(x, level, name + "/wh");
    const ValueId scores =
        net.quantize(sigmoid_of(x, 4, kPredictions, name + "/conf"), name + "/conf/quantize");
    x = net.concat({xy, wh, scores}, -1, name + "/concat");
    const std::int32_t boxes = positions * kAnchors;
    return net.reshape(x, {.width = boxes, .channels = kPredictions, .rank = 3}, name + "/flat",
                       {-1, boxes, kPredictions});
  }
};

}  // namespace

Network yolov5(char letter, std::int32_t height, std::int32_t width) {
  Network net(std::string("yolov5") + letter);
  net.keep_order();
  const Shape image{height, width, 3};
  ValueId x = net.input(image, "images", {0, 1}, ElementType::kUint8);
  x = net.quantize(x, "images/quantize");
  const YoloLevels levels = v5_features(net, x, yolo_scale(letter, 1024, 1024));
  Head head{net, image};
  YoloLevels boxes{};
  for (std::size_t level = kYoloLevels; level-- > 0;) boxes[level] = head.run(levels[level], level);
  x = net.concat({boxes[0], boxes[1], boxes[2]}, 1, "model.24/concat");
  net.set_output(net.quantize(x, "output0", ElementType::kUint8));
  return net;
}

}  // namespace segue::zoo
