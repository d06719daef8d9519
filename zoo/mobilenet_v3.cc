// MobileNetV3 (Howard et al. 2019) as keras.applications defines it, with bytes as input, hard
// swish, and squeeze-and-excitation.
#include <array>
#include <cmath>

#include "zoo/internal/architectures.h"

namespace segue::zoo {
namespace {

struct V3Block {
  double expansion;
  std::int32_t filters;
  std::int32_t kernel;
  std::int32_t stride;
  bool has_excitation;
  bool is_swish;
};

constexpr std::array<V3Block, 15> kLargeBlocks{{{1, 16, 3, 1, false, false},
                                                {4, 24, 3, 2, false, false},
                                                {3, 24, 3, 1, false, false},
                                                {3, 40, 5, 2, true, false},
                                                {3, 40, 5, 1, true, false},
                                                {3, 40, 5, 1, true, false},
                                                {6, 80, 3, 2, false, true},
                                                {2.5, 80, 3, 1, false, true},
                                                {2.3, 80, 3, 1, false, true},
                                                {2.3, 80, 3, 1, false, true},
                                                {6, 112, 3, 1, true, true},
                                                {6, 112, 3, 1, true, true},
                                                {6, 160, 5, 2, true, true},
                                                {6, 160, 5, 1, true, true},
                                                {6, 160, 5, 1, true, true}}};

constexpr std::array<V3Block, 11> kSmallBlocks{{{1, 16, 3, 2, true, false},
                                                {72.0 / 16, 24, 3, 2, false, false},
                                                {88.0 / 24, 24, 3, 1, false, false},
                                                {4, 40, 5, 2, true, true},
                                                {6, 40, 5, 1, true, true},
                                                {6, 40, 5, 1, true, true},
                                                {3, 48, 5, 1, true, true},
                                                {3, 48, 5, 1, true, true},
                                                {6, 96, 5, 2, true, true},
                                                {6, 96, 5, 1, true, true},
                                                {6, 96, 5, 1, true, true}}};

// Returns a multiple of 8 channels that is at least nine tenths of the exact product.
std::int32_t eighths(double channels) {
  constexpr std::int32_t kDivisor = 8;
  constexpr double kLargestLoss = 0.9;
  auto rounded = static_cast<std::int32_t>(channels + kDivisor / 2.0) / kDivisor * kDivisor;
  rounded = std::max(kDivisor, rounded);
  return rounded < kLargestLoss * channels ? rounded + kDivisor : rounded;
}

Constant scalar(double value) { return {{}, {static_cast<float>(value)}}; }

// A convolution with batch normalization and ReLU or hard swish. No operator fuses hard swish.
ConvOptions v3_conv(const Window& window, std::int32_t filters, bool is_swish) {
  return {window, filters, false, Norm::kBatch, is_swish ? Activation::kNone : Activation::kRelu};
}

ValueId activated(Network& net, ValueId x, bool is_swish, const std::string& name) {
  return is_swish ? net.unary(OpCode::kHardSwish, x, name) : x;
}

// Squeeze-and-excitation: scales the channels of `x` by the output of a small network on their
// means. The hard sigmoid is a ReLU6 of the convolution, divided by six.
ValueId excited(Network& net, ValueId x, const std::string& name) {
  const std::int32_t channels = net.shape(x).channels;
  ValueId y = net.global_average(x, true, name + "avg_pool");
  y = net.conv(y, {square(1), eighths(channels / 4.0), true, Norm::kNone, Activation::kRelu},
               name + "conv", name + "relu");
  y = net.conv(y, {square(1), channels, true, Norm::kNone, Activation::kRelu6}, name + "conv_1",
               name + "conv_1_relu6");
  y = net.binary(OpCode::kMul, y, scalar(1.0 / 6), name + "conv_1_sixth");
  return net.binary(OpCode::kMul, x, y, name + "mul");
}

ValueId v3_block(Network& net, ValueId x, const V3Block& block, std::size_t number) {
  const std::int32_t channels = net.shape(x).channels;
  const std::string name =
      number == 0 ? "expanded_conv_" : "expanded_conv_" + std::to_string(number) + "_";
  ValueId y = x;
  if (number > 0) {
    y = net.conv(y, v3_conv(square(1), eighths(channels * block.expansion), block.is_swish),
                 name + "expand", name + "expand_bn");
    y = activated(net, y, block.is_swish, name + "expand_activation");
  }
  y = net.depthwise(y, v3_conv(square(block.kernel, block.stride), 0, block.is_swish),
                    name + "depthwise", name + "depthwise_bn");
  y = activated(net, y, block.is_swish, name + "depthwise_activation");
  if (block.has_excitation) y = excited(net, y, name + "squeeze_excite_");
  y = net.conv(y, {square(1), block.filters, false, Norm::kBatch}, name + "project",
               name + "project_bn");
  if (block.stride != 1 || channels != block.filters) return y;
  return net.add(x, y, Activation::kNone, name + "add");
}

Network mobilenet_v3(Network net, std::int32_t size, std::span<const V3Block> blocks,
                     std::int32_t last_channels) {
  ValueId x = net.input({size, size, 3}, "input_1", {0, 255});
  x = net.binary(OpCode::kMul, x, scalar(1 / 127.5), "rescaling/mul");
  x = net.binary(OpCode::kAdd, x, scalar(-1), "rescaling");
  x = net.conv(x, v3_conv(square(3, 2), 16, true), "conv", "conv_bn");
  x = activated(net, x, true, "activation");
  for (std::size_t i = 0; i < blocks.size(); ++i) x = v3_block(net, x, blocks[i], i);
  x = net.conv(x, v3_conv(square(1), net.shape(x).channels * 6, true), "conv_1", "conv_1_bn");
  x = activated(net, x, true, "activation_last");
  x = net.global_average(x, true, "global_average_pooling2d");
  x = net.conv(x, {square(1), last_channels, true}, "conv_2", "conv_2");
  x = activated(net, x, true, "activation_conv_2");
  x = net.conv(x, {square(1), 1000, true}, "logits", "logits");
  net.set_output(net.softmax(net.to_vector(x, "flatten"), "predictions"));
  return net;
}

}  // namespace

Network mobilenet_v3_large(std::int32_t size) {
  return mobilenet_v3(Network("mobilenetv3large"), size, kLargeBlocks, 1280);
}

Network mobilenet_v3_small(std::int32_t size) {
  return mobilenet_v3(Network("mobilenetv3small"), size, kSmallBlocks, 1024);
}

}  // namespace segue::zoo
