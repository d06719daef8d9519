// Blocks of YOLOv5 and YOLOv8, as their exports to TensorFlow Lite write them.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "zoo/network.h"

namespace segue::zoo {

inline constexpr std::int32_t kYoloClasses = 80;  // COCO
inline constexpr std::size_t kYoloLevels = 3;
using YoloLevels = std::array<ValueId, kYoloLevels>;  // strides 8, 16 and 32

// How a letter scales the number of channels and of repeated blocks.
struct YoloScale {
  double depth;
  double width;
  std::int32_t most_channels;

  [[nodiscard]] std::int32_t channels(std::int32_t count) const {
    constexpr double kDivisor = 8;
    return static_cast<std::int32_t>(std::ceil(std::min(count, most_channels) * width / kDivisor) *
                                     kDivisor);
  }
  [[nodiscard]] int repeats(int count) const {
    return std::max(1, static_cast<int>(std::lround(count * depth)));
  }
};

// Returns the scale of a letter. The families differ in the maximum channels of "m" and "l".
[[nodiscard]] inline YoloScale yolo_scale(char letter, std::int32_t most_of_m,
                                          std::int32_t most_of_l) {
  switch (letter) {
    case 'n':
      return {1.0 / 3, 0.25, 1024};
    case 's':
      return {1.0 / 3, 0.5, 1024};
    case 'm':
      return {2.0 / 3, 0.75, most_of_m};
    default:
      return {1, 1, most_of_l};
  }
}

// Convolution, batch normalization and SiLU. PyTorch pads a strided window on both sides, unlike
// SAME. Nevertheless, the first layer of YOLOv5 is exported with SAME.
[[nodiscard]] inline ValueId yolo_conv(Network& net, ValueId x, std::int32_t filters,
                                       std::int32_t kernel, std::int32_t stride,
                                       const std::string& name) {
  Window window = square(kernel, stride);
  if (stride > 1 && kernel == 3) {
    x = net.pad(x, 1, 1, name + "/Pad");
    window.padding = Padding::kValid;
  }
  x = net.conv(x, {window, filters, false, Norm::kTorchBatch}, name + "/conv", name + "/conv/Conv");
  return net.silu(x, name + "/act");
}

// Maxima over windows of 5, 9 and 13 pixels.
[[nodiscard]] inline ValueId yolo_pyramid(Network& net, ValueId x, std::int32_t filters,
                                          const std::string& name) {
  std::vector<ValueId> parts{yolo_conv(net, x, net.shape(x).channels / 2, 1, 1, name + "/cv1")};
  for (const char* pool : {"/m/MaxPool", "/m_1/MaxPool", "/m_2/MaxPool"})
    parts.push_back(net.max_pool(parts.back(), square(5), name + pool));
  return yolo_conv(net, net.concat(parts, name + "/Concat"), filters, 1, 1, name + "/cv2");
}

[[nodiscard]] inline std::string yolo_layer(int number) {
  return "model." + std::to_string(number);
}

}  // namespace segue::zoo
