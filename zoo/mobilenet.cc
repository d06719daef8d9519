// MobileNet (Howard et al. 2017) and MobileNetV2 (Sandler et al. 2018) as keras.applications
// defines them; EfficientNet-Lite (Google, 2020) as sebastian-sz/efficientnet-lite-keras defines
// it; EfficientNet-EdgeTPU (Gupta and Akin 2019) as tensorflow/tpu defines it. Paddings before
// strided convolutions are equal to SAME, and the converter merges them.
#include <array>
#include <cmath>

#include "zoo/backbones.h"
#include "zoo/internal/architectures.h"

namespace segue::zoo {
namespace {

ConvOptions normed(const Window& window, std::int32_t filters, Activation activation) {
  return {window, filters, false, Norm::kBatch, activation};
}

struct InvertedResidual {
  std::int32_t kernel = 3;
  std::int32_t stride = 1;
  std::int32_t expansion = 1;
  std::int32_t filters = 0;
  bool has_residual = true;  // if stride and channels allow it
};

struct EfficientStage {
  int repeats = 1;
  InvertedResidual block;
};

constexpr std::array<EfficientStage, 7> kEfficientStages{{{1, {3, 1, 1, 16}},
                                                          {2, {3, 2, 6, 24}},
                                                          {2, {5, 2, 6, 40}},
                                                          {3, {3, 2, 6, 80}},
                                                          {3, {5, 1, 6, 112}},
                                                          {4, {5, 2, 6, 192}},
                                                          {1, {3, 1, 6, 320}}}};

// Returns a multiple of 8 channels that is at least nine tenths of the exact product.
std::int32_t scaled_filters(std::int32_t filters, double width) {
  constexpr std::int32_t kDivisor = 8;
  constexpr double kLargestLoss = 0.9;
  const double exact = filters * width;
  auto rounded =
      std::max(kDivisor, static_cast<std::int32_t>(exact + kDivisor / 2.0) / kDivisor * kDivisor);
  if (rounded < kLargestLoss * exact) rounded += kDivisor;
  return rounded;
}

std::string efficient_name(std::size_t stage, int repeat) {
  return "block" + std::to_string(stage + 1) + static_cast<char>('a' + repeat) + "_";
}

// Adds the end of a block: the projection of `computed` to the block's filters, and the residual of
// `x`.
ValueId end_block(Network& net, ValueId x, ValueId computed, const InvertedResidual& block,
                  const std::string& name) {
  const ValueId y = net.conv(computed, normed(square(1), block.filters, Activation::kNone),
                             name + "project_conv", name + "project_bn");
  const bool is_alike = block.stride == 1 && net.shape(x).channels == block.filters;
  return block.has_residual && is_alike ? net.add(y, x, Activation::kNone, name + "add") : y;
}

ValueId efficient_block(Network& net, ValueId x, const InvertedResidual& block,
                        Activation activation, const std::string& name) {
  const std::int32_t channels = net.shape(x).channels;
  ValueId y = x;
  if (block.expansion != 1) {
    y = net.conv(y, normed(square(1), channels * block.expansion, activation), name + "expand_conv",
                 name + "expand_activation");
  }
  y = net.depthwise(y, normed(square(block.kernel, block.stride), 0, activation), name + "dwconv",
                    name + "activation");
  return end_block(net, x, y, block, name);
}

// A block that expands with one convolution of the whole window, instead of the pointwise and the
// depthwise convolution of an inverted residual.
ValueId fused_block(Network& net, ValueId x, const InvertedResidual& block, std::int32_t expanded,
                    const std::string& name) {
  const ConvOptions expand =
      normed(square(block.kernel, block.stride), expanded, Activation::kRelu);
  const ValueId y = net.conv(x, expand, name + "expand_conv", name + "expand_activation");
  return end_block(net, x, y, block, name);
}

ValueId mobile_block(Network& net, ValueId x, const InvertedResidual& block, int number,
                     const OnBlock& on_expansion) {
  const std::int32_t channels = net.shape(x).channels;
  const std::string name = number == 0 ? "expanded_conv_" : "block_" + std::to_string(number) + "_";
  ValueId y = x;
  if (number > 0) {
    y = net.conv(y, normed(square(1), channels * block.expansion, Activation::kRelu6),
                 name + "expand", name + "expand_relu");
    if (on_expansion) on_expansion(number, y);
  }
  y = net.depthwise(y, normed(square(3, block.stride), 0, Activation::kRelu6), name + "depthwise",
                    name + "depthwise_relu");
  y = net.conv(y, normed(square(1), block.filters, Activation::kNone), name + "project",
               name + "project_BN");
  if (block.stride != 1 || channels != block.filters) return y;
  return net.add(x, y, Activation::kNone, name + "add");
}

}  // namespace

ValueId mobilenet_features(Network& net, ValueId x, double width, const OnBlock& on_block) {
  const auto filters = [&](std::int32_t count) {
    return static_cast<std::int32_t>(static_cast<double>(count) * width);
  };
  struct Block {
    std::int32_t filters;
    std::int32_t stride;
  };
  constexpr std::array<Block, 13> kRows{{{64, 1},
                                         {128, 2},
                                         {128, 1},
                                         {256, 2},
                                         {256, 1},
                                         {512, 2},
                                         {512, 1},
                                         {512, 1},
                                         {512, 1},
                                         {512, 1},
                                         {512, 1},
                                         {1024, 2},
                                         {1024, 1}}};
  x = net.conv(x, normed(square(3, 2), filters(32), Activation::kRelu6), "conv1", "conv1_relu");
  for (std::size_t i = 0; i < kRows.size(); ++i) {
    const std::string number = std::to_string(i + 1);
    x = net.depthwise(x, normed(square(3, kRows[i].stride), 0, Activation::kRelu6),
                      "conv_dw_" + number, "conv_dw_" + number + "_relu");
    x = net.conv(x, normed(square(1), filters(kRows[i].filters), Activation::kRelu6),
                 "conv_pw_" + number, "conv_pw_" + number + "_relu");
    if (on_block) on_block(static_cast<int>(i + 1), x);
  }
  return x;
}

Network mobilenet(std::int32_t size, double width) {
  constexpr double kPercent = 100;
  const std::string percent = width == 1 ? "" : std::to_string(std::lround(width * kPercent));
  Network net("mobilenet" + percent);
  ValueId x = mobilenet_features(net, net.input({size, size, 3}, "input_1"), width);
  x = net.global_average(x, true, "global_average_pooling2d");
  x = net.conv(x, {square(1), 1000, true}, "conv_preds", "conv_preds");
  x = net.to_vector(x, "reshape_2");
  net.set_output(net.softmax(x, "predictions"));
  return net;
}

ValueId mobilenet_v2_features(Network& net, ValueId x, const OnBlock& on_expansion) {
  struct Stage {
    int repeats;
    InvertedResidual block;
  };
  constexpr std::array<Stage, 7> kStages{{{1, {3, 1, 1, 16}},
                                          {2, {3, 2, 6, 24}},
                                          {3, {3, 2, 6, 32}},
                                          {4, {3, 2, 6, 64}},
                                          {3, {3, 1, 6, 96}},
                                          {3, {3, 2, 6, 160}},
                                          {1, {3, 1, 6, 320}}}};
  x = net.conv(x, normed(square(3, 2), 32, Activation::kRelu6), "Conv1", "Conv1_relu");
  int number = 0;
  for (const Stage& stage : kStages) {
    for (int i = 0; i < stage.repeats; ++i) {
      InvertedResidual block = stage.block;
      if (i > 0) block.stride = 1;
      x = mobile_block(net, x, block, number++, on_expansion);
    }
  }
  return x;
}

Network mobilenet_v2(std::int32_t size) {
  Network net("mobilenetv2");
  ValueId x = mobilenet_v2_features(net, net.input({size, size, 3}, "input_1"));
  x = net.conv(x, normed(kPointwise, 1280, Activation::kRelu6), "Conv_1", "out_relu");
  x = net.global_average(x, false, "global_average_pooling2d");
  x = net.dense(x, {1000}, "predictions", "predictions/logits");
  net.set_output(net.softmax(x, "predictions"));
  return net;
}

std::array<ValueId, 3> efficientnet_lite_features(Network& net, ValueId x, int variant) {
  struct Scaling {
    double width;
    double depth;
  };
  constexpr std::array<Scaling, 5> kScalings{
      {{1.0, 1.0}, {1.0, 1.1}, {1.1, 1.2}, {1.2, 1.4}, {1.4, 1.8}}};
  const Scaling scaling = kScalings.at(static_cast<std::size_t>(variant));
  std::array<ValueId, kEfficientStages.size()> ends{};
  x = net.conv(x, normed(square(3, 2), 32, Activation::kRelu6), "stem_conv", "stem_activation");
  for (std::size_t s = 0; s < kEfficientStages.size(); ++s) {
    // The Lite variants do not scale the first and the last stage.
    const bool is_fixed = s == 0 || s + 1 == kEfficientStages.size();
    const int base = kEfficientStages[s].repeats;
    const int repeats = is_fixed ? base : static_cast<int>(std::ceil(scaling.depth * base));
    for (int i = 0; i < repeats; ++i) {
      InvertedResidual block = kEfficientStages[s].block;
      block.filters = scaled_filters(block.filters, scaling.width);
      if (i > 0) block.stride = 1;
      x = efficient_block(net, x, block, Activation::kRelu6, efficient_name(s, i));
    }
    ends.at(s) = x;
  }
  return {ends[2], ends[4], ends[6]};
}

Network efficientnet_lite(int variant, std::int32_t size) {
  Network net("efficientnetliteb" + std::to_string(variant));
  const ValueId image = net.input({size, size, 3}, "input_1");
  ValueId x = efficientnet_lite_features(net, image, variant)[2];
  x = net.conv(x, normed(square(1), 1280, Activation::kRelu6), "top_conv", "top_activation");
  x = net.global_average(x, false, "avg_pool");
  x = net.dense(x, {1000}, "predictions", "predictions/logits");
  net.set_output(net.softmax(x, "predictions"));
  return net;
}

Network efficientnet_edgetpu(char variant, std::int32_t size) {
  struct Stage {
    int repeats;
    bool is_fused;
    InvertedResidual block;
  };
  constexpr std::array<Stage, 6> kStages{{{1, true, {3, 1, 4, 24, false}},
                                          {2, true, {3, 2, 8, 32}},
                                          {4, true, {3, 2, 8, 48}},
                                          {5, false, {5, 2, 8, 96}},
                                          {4, false, {5, 1, 8, 144}},
                                          {2, false, {5, 2, 8, 192}}}};
  const double width = variant == 'l' ? 1.2 : 1.0;
  const double depth = variant == 'l' ? 1.4 : variant == 'm' ? 1.1 : 1.0;
  const auto filters = [&](std::int32_t count) { return scaled_filters(count, width); };
  Network net(std::string("efficientnetedgetpu") + variant);
  ValueId x = net.input({size, size, 3}, "input_1");
  x = net.conv(x, normed(square(3, 2), filters(32), Activation::kRelu), "stem_conv",
               "stem_activation");
  // The first block expands as if the stem had 24 channels.
  std::int32_t channels = filters(24);
  for (std::size_t s = 0; s < kStages.size(); ++s) {
    const int repeats = static_cast<int>(std::ceil(depth * kStages[s].repeats));
    for (int i = 0; i < repeats; ++i) {
      InvertedResidual block = kStages[s].block;
      block.filters = filters(block.filters);
      if (i > 0) block.stride = 1;
      const std::string name = efficient_name(s, i);
      x = kStages[s].is_fused ? fused_block(net, x, block, channels * block.expansion, name)
                              : efficient_block(net, x, block, Activation::kRelu, name);
      channels = block.filters;
    }
  }
  x = net.conv(x, normed(square(1), filters(1280), Activation::kRelu), "top_conv",
               "top_activation");
  x = net.global_average(x, false, "avg_pool");
  x = net.dense(x, {1001}, "predictions", "predictions/logits");
  net.set_output(net.softmax(x, "predictions"));
  return net;
}

}  // namespace segue::zoo
