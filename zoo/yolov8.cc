// YOLOv8 (Ultralytics 2023) as ultralytics 8.4 defines it and its export to TensorFlow Lite by
// onnx2tf 1.28 writes it, with the detection head. Boxes are shares of the image.
#include <numeric>

#include "zoo/internal/architectures.h"
#include "zoo/yolo.h"

namespace segue::zoo {
namespace {

constexpr std::int32_t kDistances = 16;  // per side of a box: a distribution over 0 .. 15
constexpr std::int32_t kSides = 4;

// A chain of bottlenecks whose outputs are all concatenated.
ValueId c2f(Network& net, ValueId x, std::int32_t filters, int repeats, bool adds,
            const std::string& name) {
  const std::int32_t half = filters / 2;
  x = yolo_conv(net, x, filters, 1, 1, name + "/cv1");
  std::vector<ValueId> parts{
      net.slice(x, {3, 0, half}, SliceBounds::kWritten, name + "/Split"),
      net.slice(x, {3, half, filters}, SliceBounds::kWritten, name + "/Split_1")};
  for (int i = 0; i < repeats; ++i) {
    const std::string bottleneck = name + "/m." + std::to_string(i);
    ValueId y = yolo_conv(net, parts.back(), half, 3, 1, bottleneck + "/cv1");
    y = yolo_conv(net, y, half, 3, 1, bottleneck + "/cv2");
    parts.push_back(adds ? net.add(parts.back(), y, Activation::kNone, bottleneck + "/Add") : y);
  }
  return yolo_conv(net, net.concat(parts, name + "/Concat"), filters, 1, 1, name + "/cv2");
}

ValueId upsampled(Network& net, ValueId x, const std::string& name) {
  const Shape& shape = net.shape(x);
  return net.resize_nearest(x, 2 * shape.height, 2 * shape.width, false, name + "/Resize");
}

YoloLevels v8_features(Network& net, ValueId x, const YoloScale& scale) {
  int number = 0;
  const auto conv = [&](ValueId from, std::int32_t filters) {
    return yolo_conv(net, from, scale.channels(filters), 3, 2, yolo_layer(number++));
  };
  const auto blocks = [&](ValueId from, std::int32_t filters, int repeats, bool adds) {
    return c2f(net, from, scale.channels(filters), scale.repeats(repeats), adds,
               yolo_layer(number++));
  };
  const auto joined = [&](ValueId a, ValueId b) {
    return net.concat({a, b}, yolo_layer(number++) + "/Concat");
  };
  x = conv(conv(x, 64), 128);
  x = conv(blocks(x, 128, 3, true), 256);
  const ValueId p3 = blocks(x, 256, 6, true);
  const ValueId p4 = blocks(conv(p3, 512), 512, 6, true);
  x = blocks(conv(p4, 1024), 1024, 3, true);
  const ValueId p5 = yolo_pyramid(net, x, scale.channels(1024), yolo_layer(number++));
  x = upsampled(net, net.quantize(p5, "model.9/Quantize"), yolo_layer(number++));
  const ValueId middle = blocks(joined(x, p4), 512, 3, false);
  x = upsampled(net, middle, yolo_layer(number++));
  const ValueId fine = blocks(joined(x, p3), 256, 3, false);
  x = conv(fine, 256);
  const ValueId medium = blocks(joined(x, middle), 512, 3, false);
  x = conv(medium, 512);
  return {fine, medium, blocks(joined(x, p5), 1024, 3, false)};
}

// Adds one branch of the head at one level, as [1, outputs, positions].
ValueId v8_branch(Network& net, ValueId x, std::int32_t hidden, std::int32_t outputs,
                  const std::string& name) {
  const Shape at = net.shape(x);
  x = yolo_conv(net, x, hidden, 3, 1, name + ".0");
  x = yolo_conv(net, x, hidden, 3, 1, name + ".1");
  x = net.conv(x, {square(1), outputs, true}, name + ".2", name + ".2/Conv");
  x = net.transpose(x, {0, 3, 1, 2}, name + "/Transpose");
  return net.reshape(x, {.width = outputs, .channels = at.height * at.width, .rank = 3},
                     name + "/Reshape");
}

// The centre and the stride of each position as shares of the image, both as [x.., y..].
struct Positions {
  std::vector<float> centres;
  std::vector<float> strides;
};

Positions v8_positions(const Network& net, const YoloLevels& levels, const Shape& image) {
  Positions all;
  for (const bool is_x : {true, false}) {
    for (const ValueId level : levels) {
      const Shape& map = net.shape(level);
      const std::int32_t extent = is_x ? map.width : map.height;
      for (std::int32_t i = 0; i < map.height * map.width; ++i) {
        const std::int32_t at = is_x ? i % map.width : i / map.width;
        all.centres.push_back((static_cast<float>(at) + 0.5F) / static_cast<float>(extent));
        const std::int32_t stride = image.width / map.width;
        all.strides.push_back(static_cast<float>(stride) /
                              static_cast<float>(is_x ? image.width : image.height));
      }
    }
  }
  return all;
}

// Returns the distances to the four sides as shares of the image: the mean of each distribution.
ValueId v8_distances(Network& net, ValueId boxes, const std::vector<float>& strides) {
  const std::string name = "model.22/dfl";
  const std::int32_t count = net.shape(boxes).channels;
  ValueId x = net.reshape(boxes, {kSides, kDistances, count}, name + "/Reshape");
  x = net.transpose(x, {0, 1, 3, 2}, name + "/Transpose");
  x = net.unary(OpCode::kSoftmax, x, name + "/Softmax");
  std::vector<float> distances(kDistances);
  std::iota(distances.begin(), distances.end(), 0.0F);
  x = net.weighted_sum(x, distances, name + "/conv");
  x = net.reshape(x, {1, kSides, count}, name + "/Reshape_1");
  std::vector<float> factors = strides;
  factors.insert(factors.end(), strides.begin(), strides.end());
  x = net.binary(OpCode::kMul, x, {{1, kSides, count}, factors}, "model.22/Mul");
  return net.reshape(x, {1, kSides, count, 3}, "model.22/Mul_1");
}

// Returns the centre and the extent of each box, computed from its distances.
std::array<ValueId, 2> v8_boxes(Network& net, ValueId distances,
                                const std::vector<float>& centres) {
  const std::int32_t count = net.shape(distances).channels;
  const std::string name = "model.22/";
  ValueId first = net.slice(distances, {1, 0, 2}, SliceBounds::kOpen, name + "Slice");
  first = net.binary(OpCode::kSub, first, {{1, 2, count}, centres, true}, name + "Sub");
  ValueId last = net.slice(distances, {1, 2, kSides}, SliceBounds::kOpen, name + "Slice_1");
  last = net.binary(OpCode::kAdd, last, {{1, 2, count}, centres}, name + "Add");
  const ValueId sum = net.binary(OpCode::kAdd, first, last, name + "Add_1");
  const ValueId centre = net.binary(OpCode::kMul, sum, {{}, {0.5F}}, name + "Div");
  return {centre, net.binary(OpCode::kSub, last, first, name + "Sub_1")};
}

}  // namespace

Network yolov8(char letter, std::int32_t height, std::int32_t width) {
  Network net(std::string("yolov8") + letter);
  net.keep_order();
  const Shape image{height, width, 3};
  const ValueId input = net.input(image, "images", {0, 1});
  const YoloLevels levels = v8_features(net, input, yolo_scale(letter, 768, 512));
  const std::int32_t channels = net.shape(levels[0]).channels;
  const std::int32_t box_channels = std::max({16, channels / 4, kSides * kDistances});
  const std::int32_t class_channels = std::max(channels, kYoloClasses);
  const auto branch = [&](std::size_t level, bool is_box) {
    const std::string name =
        "model.22/cv" + std::string(is_box ? "2." : "3.") + std::to_string(level);
    return is_box ? v8_branch(net, levels[level], box_channels, kSides * kDistances, name)
                  : v8_branch(net, levels[level], class_channels, kYoloClasses, name);
  };
  YoloLevels boxes{};
  YoloLevels classes{};
  for (const std::size_t level : {2U, 1U}) {
    boxes[level] = branch(level, true);
    classes[level] = branch(level, false);
  }
  boxes[0] = branch(0, true);
  const Positions positions = v8_positions(net, levels, image);
  const ValueId joined = net.concat({boxes[0], boxes[1], boxes[2]}, 2, "model.22/Concat");
  const ValueId distances = v8_distances(net, joined, positions.strides);
  classes[0] = branch(0, false);
  ValueId scores = net.concat({classes[0], classes[1], classes[2]}, 2, "model.22/Concat_1");
  scores = net.unary(OpCode::kLogistic, scores, "model.22/Sigmoid");
  scores = net.quantize(scores, "model.22/Quantize");
  const auto [centre, extent] = v8_boxes(net, distances, positions.centres);
  net.set_output(net.concat({centre, extent, scores}, 1, "output0"));
  return net;
}

}  // namespace segue::zoo
