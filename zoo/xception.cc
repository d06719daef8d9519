// Xception of Chollet (2016), as keras.applications defines it.
#include "zoo/internal/architectures.h"

namespace segue::zoo {
namespace {

// A depthwise 3x3 and a pointwise 1x1 convolution. Batch normalization is folded into the second.
ValueId separable(Network& net, ValueId x, std::int32_t filters, Activation activation,
                  const std::string& name, const std::string& output_name) {
  x = net.depthwise(x, {square(3)}, name, name + "/depthwise");
  return net.conv(x, {kPointwise, filters, false, Norm::kBatch, activation}, name, output_name);
}

ValueId shortcut(Network& net, ValueId x, std::int32_t filters) {
  const std::string conv = net.auto_name("conv2d");
  return net.conv(x, {square(1, 2), filters, false, Norm::kBatch}, conv,
                  net.auto_name("batch_normalization"));
}

// Two separable convolutions and a pooling, in parallel with a strided shortcut.
ValueId reduction(Network& net, ValueId x, std::int32_t first, std::int32_t second,
                  const std::string& name, bool starts_active) {
  const ValueId residual = shortcut(net, x, second);
  ValueId y = starts_active ? net.relu(x, name + "_sepconv1_act") : x;
  y = separable(net, y, first, Activation::kRelu, name + "_sepconv1", name + "_sepconv2_act");
  y = separable(net, y, second, Activation::kNone, name + "_sepconv2", name + "_sepconv2_bn");
  y = net.max_pool(y, square(3, 2), name + "_pool");
  return net.add(y, residual, Activation::kNone, net.auto_name("add"));
}

ValueId middle(Network& net, ValueId x, const std::string& name) {
  ValueId y = net.relu(x, name + "_sepconv1_act");
  y = separable(net, y, 728, Activation::kRelu, name + "_sepconv1", name + "_sepconv2_act");
  y = separable(net, y, 728, Activation::kRelu, name + "_sepconv2", name + "_sepconv3_act");
  y = separable(net, y, 728, Activation::kNone, name + "_sepconv3", name + "_sepconv3_bn");
  return net.add(y, x, Activation::kNone, net.auto_name("add"));
}

}  // namespace

Network xception(std::int32_t size) {
  Network net("xception");
  ValueId x = net.input({size, size, 3}, "input_1");
  x = net.conv(x, {square(3, 2, Padding::kValid), 32, false, Norm::kBatch, Activation::kRelu},
               "block1_conv1", "block1_conv1_act");
  x = net.conv(x, {square(3, 1, Padding::kValid), 64, false, Norm::kBatch, Activation::kRelu},
               "block1_conv2", "block1_conv2_act");
  x = reduction(net, x, 128, 128, "block2", false);
  x = reduction(net, x, 256, 256, "block3", true);
  x = reduction(net, x, 728, 728, "block4", true);
  for (int block = 5; block <= 12; ++block) x = middle(net, x, "block" + std::to_string(block));
  x = reduction(net, x, 728, 1024, "block13", true);
  x = separable(net, x, 1536, Activation::kRelu, "block14_sepconv1", "block14_sepconv1_act");
  x = separable(net, x, 2048, Activation::kRelu, "block14_sepconv2", "block14_sepconv2_act");
  x = net.global_average(x, false, "avg_pool");
  x = net.dense(x, {1000}, "predictions", "predictions/logits");
  net.set_output(net.softmax(x, "predictions"));
  return net;
}

}  // namespace segue::zoo
