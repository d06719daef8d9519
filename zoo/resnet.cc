// ResNet of He et al. (2015) and ResNetV2 (2016), as keras.applications defines them.
#include <array>

#include "zoo/internal/architectures.h"

namespace segue::zoo {
namespace {

constexpr std::size_t kStages = 4;
constexpr std::array<std::int32_t, kStages> kWidths{64, 128, 256, 512};
constexpr std::int32_t kExpansion = 4;

std::array<int, kStages> blocks_of(int depth) {
  if (depth == 50) return {3, 4, 6, 3};
  if (depth == 101) return {3, 4, 23, 3};
  return {3, 8, 36, 3};
}

ConvOptions normed(const Window& window, std::int32_t filters, bool has_bias,
                   Activation activation) {
  return {window, filters, has_bias, Norm::kBatch, activation};
}

ValueId classify_map(Network& net, ValueId x) {
  x = net.global_average(x, false, "avg_pool");
  x = net.dense(x, {1000}, "predictions", "predictions/logits");
  return net.softmax(x, "predictions");
}

// Bottleneck with the activation after the sum. The first convolution has the stride.
ValueId block_v1(Network& net, ValueId x, std::int32_t width, std::int32_t stride, bool projects,
                 const std::string& name) {
  ValueId shortcut = x;
  if (projects) {
    shortcut = net.conv(
        x, normed(square(1, stride, Padding::kValid), kExpansion * width, true, Activation::kNone),
        name + "_0_conv", name + "_0_bn");
  }
  x = net.conv(x, normed(square(1, stride, Padding::kValid), width, true, Activation::kRelu),
               name + "_1_conv", name + "_1_relu");
  x = net.conv(x, normed(square(3), width, true, Activation::kRelu), name + "_2_conv",
               name + "_2_relu");
  x = net.conv(x, normed(kPointwise, kExpansion * width, true, Activation::kNone), name + "_3_conv",
               name + "_3_bn");
  return net.add(shortcut, x, Activation::kRelu, name + "_out");
}

// Bottleneck with batch normalization before the convolutions. The 3x3 convolution has the stride.
ValueId block_v2(Network& net, ValueId x, std::int32_t width, std::int32_t stride, bool projects,
                 const std::string& name) {
  const ValueId active =
      net.batch_norm(x, Activation::kRelu, name + "_preact_bn", name + "_preact_relu");
  ValueId shortcut = x;
  if (projects) {
    shortcut = net.conv(active, {square(1, stride, Padding::kValid), kExpansion * width, true},
                        name + "_0_conv", name + "_0_conv");
  } else if (stride > 1) {
    // Keras names it max_pooling2d, which would come later in alphabetical order. In an exported
    // model, however, the converter visits it first, because it has no weights.
    shortcut = net.max_pool(x, square(1, stride, Padding::kValid), name + "_0_pool");
  }
  ValueId y = net.conv(active, normed(kPointwise, width, false, Activation::kRelu),
                       name + "_1_conv", name + "_1_relu");
  // The converter merges a padding of one with a 3x3 convolution into SAME if both are equal, which
  // is the case at stride 1.
  Window window = square(3);
  if (stride > 1) {
    y = net.pad(y, 1, 1, name + "_2_pad");
    window = square(3, stride, Padding::kValid);
  }
  y = net.conv(y, normed(window, width, false, Activation::kRelu), name + "_2_conv",
               name + "_2_relu");
  y = net.conv(y, {kPointwise, kExpansion * width, true}, name + "_3_conv", name + "_3_conv");
  return net.add(shortcut, y, Activation::kNone, name + "_out");
}

std::string block_name(std::size_t stage, int block) {
  return "conv" + std::to_string(stage + 2) + "_block" + std::to_string(block);
}

}  // namespace

Network resnet(int depth, std::int32_t size) {
  Network net("resnet" + std::to_string(depth));
  ValueId x = net.input({size, size, 3}, "input_1");
  x = net.pad(x, 3, 3, "conv1_pad");
  x = net.conv(x, normed(square(7, 2, Padding::kValid), 64, true, Activation::kRelu), "conv1_conv",
               "conv1_relu");
  x = net.pad(x, 1, 1, "pool1_pad");
  x = net.max_pool(x, square(3, 2, Padding::kValid), "pool1_pool");
  const auto blocks = blocks_of(depth);
  for (std::size_t stage = 0; stage < kStages; ++stage) {
    for (int block = 1; block <= blocks[stage]; ++block) {
      const bool is_first = block == 1;
      x = block_v1(net, x, kWidths[stage], is_first && stage > 0 ? 2 : 1, is_first,
                   block_name(stage, block));
    }
  }
  net.set_output(classify_map(net, x));
  return net;
}

Network resnet_v2(int depth, std::int32_t size) {
  Network net("resnet" + std::to_string(depth) + "v2");
  ValueId x = net.input({size, size, 3}, "input_1");
  x = net.pad(x, 3, 3, "conv1_pad");
  x = net.conv(x, {square(7, 2, Padding::kValid), 64, true}, "conv1_conv", "conv1_conv");
  x = net.pad(x, 1, 1, "pool1_pad");
  x = net.max_pool(x, square(3, 2, Padding::kValid), "pool1_pool");
  const auto blocks = blocks_of(depth);
  for (std::size_t stage = 0; stage < kStages; ++stage) {
    for (int block = 1; block <= blocks[stage]; ++block) {
      const bool halves = block == blocks[stage] && stage + 1 < kStages;
      x = block_v2(net, x, kWidths[stage], halves ? 2 : 1, block == 1, block_name(stage, block));
    }
  }
  x = net.batch_norm(x, Activation::kRelu, "post_bn", "post_relu");
  net.set_output(classify_map(net, x));
  return net;
}

}  // namespace segue::zoo
