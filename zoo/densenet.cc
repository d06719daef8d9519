// DenseNet of Huang et al. (2016), as keras.applications defines it: growth rate 32, bottlenecks of
// 128, compression 0.5.
#include <array>

#include "zoo/internal/architectures.h"

namespace segue::zoo {
namespace {

constexpr std::size_t kBlocks = 4;
constexpr std::int32_t kGrowth = 32;
constexpr std::int32_t kBottleneck = 4 * kGrowth;

std::array<int, kBlocks> layers_of(int depth) {
  if (depth == 121) return {6, 12, 24, 16};
  if (depth == 169) return {6, 12, 32, 32};
  return {6, 12, 48, 32};
}

ValueId dense_layer(Network& net, ValueId x, const std::string& name) {
  ValueId y = net.batch_norm(x, Activation::kRelu, name + "_0_bn", name + "_0_relu");
  y = net.conv(y, {kPointwise, kBottleneck, false, Norm::kBatch, Activation::kRelu},
               name + "_1_conv", name + "_1_relu");
  y = net.conv(y, {square(3), kGrowth}, name + "_2_conv", name + "_2_conv");
  return net.concat({x, y}, name + "_concat");
}

ValueId transition(Network& net, ValueId x, const std::string& name) {
  x = net.batch_norm(x, Activation::kRelu, name + "_bn", name + "_relu");
  x = net.conv(x, {kPointwise, net.shape(x).channels / 2}, name + "_conv", name + "_conv");
  return net.average_pool(x, square(2, 2, Padding::kValid), name + "_pool");
}

}  // namespace

Network densenet(int depth, std::int32_t size) {
  Network net("densenet" + std::to_string(depth));
  ValueId x = net.input({size, size, 3}, "input_1");
  x = net.pad(x, 3, 3, net.auto_name("zero_padding2d"));
  x = net.conv(x, {square(7, 2, Padding::kValid), 64, false, Norm::kBatch, Activation::kRelu},
               "conv1_conv", "conv1_relu");
  x = net.pad(x, 1, 1, net.auto_name("zero_padding2d"));
  x = net.max_pool(x, square(3, 2, Padding::kValid), "pool1");
  const auto layers = layers_of(depth);
  for (std::size_t block = 0; block < kBlocks; ++block) {
    const std::string number = std::to_string(block + 2);
    for (int layer = 1; layer <= layers[block]; ++layer) {
      x = dense_layer(net, x, "conv" + number + "_block" + std::to_string(layer));
    }
    if (block + 1 < kBlocks) x = transition(net, x, "pool" + number);
  }
  x = net.batch_norm(x, Activation::kRelu, "bn", "relu");
  x = net.global_average(x, false, "avg_pool");
  x = net.dense(x, {1000}, "predictions", "predictions/logits");
  net.set_output(net.softmax(x, "predictions"));
  return net;
}

}  // namespace segue::zoo
