// VGG (Simonyan and Zisserman 2014, keras.applications), SqueezeNet v1.1 (Iandola et al. 2016,
// rcmalli/keras-squeezenet), and the two synthetic families of the paper's experiments: five 3x3
// convolutions of equal width, and a dense network 64 -> N (four times, tanh) -> 10.
#include <array>

#include "zoo/internal/architectures.h"
#include "zoo/internal/pieces.h"

namespace segue::zoo {
namespace {

ValueId fire(Network& net, ValueId x, std::int32_t squeeze, std::int32_t expand,
             const std::string& name) {
  const auto branch = [&](ValueId from, std::int32_t size, std::int32_t filters,
                          const std::string& layer) {
    return net.conv(from, {square(size), filters, true, Norm::kNone, Activation::kRelu},
                    name + "/" + layer, name + "/relu_" + layer);
  };
  x = branch(x, 1, squeeze, "squeeze1x1");
  const ValueId a = branch(x, 1, expand, "expand1x1");
  const ValueId b = branch(x, 3, expand, "expand3x3");
  return net.concat({a, b}, name + "/concat");
}

}  // namespace

Network vgg(int depth, std::int32_t size) {
  constexpr std::array<std::int32_t, 5> kWidths{64, 128, 256, 512, 512};
  const std::array<int, 5> convolutions =
      depth == 16 ? std::array{2, 2, 3, 3, 3} : std::array{2, 2, 4, 4, 4};
  Network net("vgg" + std::to_string(depth));
  ValueId x = net.input({size, size, 3}, "input_1");
  for (std::size_t block = 0; block < kWidths.size(); ++block) {
    const std::string prefix = "block" + std::to_string(block + 1);
    for (int i = 1; i <= convolutions[block]; ++i) {
      const std::string name = prefix + "_conv" + std::to_string(i);
      x = net.conv(x, {square(3), kWidths[block], true, Norm::kNone, Activation::kRelu}, name,
                   name);
    }
    x = net.max_pool(x, square(2, 2, Padding::kValid), prefix + "_pool");
  }
  x = net.to_vector(x, "flatten");
  x = net.dense(x, {4096, true, Activation::kRelu}, "fc1", "fc1");
  x = net.dense(x, {4096, true, Activation::kRelu}, "fc2", "fc2");
  x = net.dense(x, {1000}, "predictions", "predictions/logits");
  net.set_output(net.softmax(x, "predictions"));
  return net;
}

Network squeezenet(std::int32_t size) {
  Network net("squeezenet");
  const Window pool = square(3, 2, Padding::kValid);
  ValueId x = net.input({size, size, 3}, "input_1");
  x = net.conv(x, {square(3, 2, Padding::kValid), 64, true, Norm::kNone, Activation::kRelu},
               "conv1", "relu_conv1");
  x = net.max_pool(x, pool, "pool1");
  x = fire(net, x, 16, 64, "fire2");
  x = fire(net, x, 16, 64, "fire3");
  x = net.max_pool(x, pool, "pool3");
  x = fire(net, x, 32, 128, "fire4");
  x = fire(net, x, 32, 128, "fire5");
  x = net.max_pool(x, pool, "pool5");
  x = fire(net, x, 48, 192, "fire6");
  x = fire(net, x, 48, 192, "fire7");
  x = fire(net, x, 64, 256, "fire8");
  x = fire(net, x, 64, 256, "fire9");
  x = net.conv(x, {kPointwise, 1000, true, Norm::kNone, Activation::kRelu}, "conv10",
               "relu_conv10");
  x = net.global_average(x, false, "global_average_pooling2d");
  net.set_output(net.softmax(x, "loss"));
  return net;
}

Network conv_stack(std::int32_t filters) {
  constexpr std::int32_t kSize = 64;
  constexpr int kLayers = 5;
  Network net("conv5-f" + std::to_string(filters));
  net.leave_biases_zero();
  const ValueId x = net.input({kSize, kSize, 3}, "input_1");
  net.set_output(conv_chain(net, x, kLayers, square(3), filters));
  return net;
}

Network dense_stack(std::int32_t units) {
  constexpr std::int32_t kInputs = 64;
  constexpr std::int32_t kOutputs = 10;
  constexpr int kHidden = 4;
  Network net("dense4-n" + std::to_string(units));
  net.use_one_scale_per_dense_layer();
  ValueId x = net.input({.channels = kInputs, .rank = 2}, "input_1");
  for (int i = 0; i < kHidden; ++i) {
    const std::string name = net.auto_name("dense");
    // The biases of the paper's untrained models are zero, and the converter drops zero biases.
    x = net.tanh(net.dense(x, {units, false}, name, name + "/MatMul"), name);
  }
  const std::string last = net.auto_name("dense");
  net.set_output(net.dense(x, {kOutputs, false}, last, last));
  return net;
}

}  // namespace segue::zoo
