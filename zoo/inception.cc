// Inception-v1 (Szegedy et al. 2014) as tensorflow/models/research/slim defines it, with batch
// normalization and 3x3 instead of 5x5; Inception-v3 (2015) and Inception-ResNet-v2 (2016) as
// keras.applications defines them; Inception-v4 (2016) as kentsommer/keras-inceptionV4 defines it.
// Batch normalization without scale and a ReLU follow each convolution, and both are folded into
// it.
#include <array>

#include "zoo/internal/architectures.h"

namespace segue::zoo {
namespace {

constexpr Window kPool3{3, 3, 1, Padding::kSame};
constexpr Window kReduce3{3, 3, 2, Padding::kValid};

ValueId unit(Network& net, ValueId x, std::int32_t filters, const Window& window) {
  const std::string name = net.auto_name("conv2d");
  return net.conv(x, {window, filters, false, Norm::kBatchWithoutScale, Activation::kRelu}, name,
                  net.auto_name("activation"));
}

ValueId unit(Network& net, ValueId x, std::int32_t filters, std::int32_t size) {
  return unit(net, x, filters, square(size));
}

ValueId reduce(Network& net, ValueId x, std::int32_t filters) {
  return unit(net, x, filters, kReduce3);
}

ValueId average(Network& net, ValueId x) {
  return net.average_pool(x, kPool3, net.auto_name("average_pooling2d"));
}

ValueId maximum(Network& net, ValueId x) {
  return net.max_pool(x, kReduce3, net.auto_name("max_pooling2d"));
}

constexpr Window wide(std::int32_t size) { return {1, size, 1, Padding::kSame}; }
constexpr Window tall(std::int32_t size) { return {size, 1, 1, Padding::kSame}; }

ValueId classify(Network& net, ValueId x) {
  x = net.global_average(x, false, "avg_pool");
  x = net.dense(x, {1000}, "predictions", "predictions/logits");
  return net.softmax(x, "predictions");
}

ValueId stem_v3(Network& net, std::int32_t size) {
  ValueId x = net.input({size, size, 3}, "input_1");
  x = reduce(net, x, 32);
  x = unit(net, x, 32, square(3, 1, Padding::kValid));
  x = unit(net, x, 64, 3);
  x = maximum(net, x);
  x = unit(net, x, 80, kPointwise);
  x = unit(net, x, 192, square(3, 1, Padding::kValid));
  return maximum(net, x);
}

ValueId v3_block35(Network& net, ValueId x, std::int32_t pool_filters, const std::string& name) {
  const ValueId a = unit(net, x, 64, 1);
  ValueId b = unit(net, x, 48, 1);
  b = unit(net, b, 64, 5);
  ValueId c = unit(net, x, 64, 1);
  c = unit(net, c, 96, 3);
  c = unit(net, c, 96, 3);
  const ValueId d = unit(net, average(net, x), pool_filters, 1);
  return net.concat({a, b, c, d}, name);
}

ValueId v3_block17(Network& net, ValueId x, std::int32_t filters, const std::string& name) {
  const ValueId a = unit(net, x, 192, 1);
  ValueId b = unit(net, x, filters, 1);
  b = unit(net, b, filters, wide(7));
  b = unit(net, b, 192, tall(7));
  ValueId c = unit(net, x, filters, 1);
  c = unit(net, c, filters, tall(7));
  c = unit(net, c, filters, wide(7));
  c = unit(net, c, filters, tall(7));
  c = unit(net, c, 192, wide(7));
  const ValueId d = unit(net, average(net, x), 192, 1);
  return net.concat({a, b, c, d}, name);
}

ValueId v3_block8(Network& net, ValueId x, const std::string& number, const std::string& name) {
  const ValueId a = unit(net, x, 320, 1);
  ValueId b = unit(net, x, 384, 1);
  const ValueId b_wide = unit(net, b, 384, wide(3));
  const ValueId b_tall = unit(net, b, 384, tall(3));
  b = net.concat({b_wide, b_tall}, "mixed9_" + number);
  ValueId c = unit(net, x, 448, 1);
  c = unit(net, c, 384, 3);
  const ValueId c_wide = unit(net, c, 384, wide(3));
  const ValueId c_tall = unit(net, c, 384, tall(3));
  c = net.concat({c_wide, c_tall}, net.auto_name("concatenate"));
  const ValueId d = unit(net, average(net, x), 192, 1);
  return net.concat({a, b, c, d}, name);
}

ValueId v4_stem(Network& net, std::int32_t size) {
  ValueId x = net.input({size, size, 3}, "input_1");
  x = reduce(net, x, 32);
  x = unit(net, x, 32, square(3, 1, Padding::kValid));
  x = unit(net, x, 64, 3);
  const ValueId pooled = maximum(net, x);
  const ValueId strided = reduce(net, x, 96);
  x = net.concat({pooled, strided}, net.auto_name("concatenate"));
  ValueId a = unit(net, x, 64, 1);
  a = unit(net, a, 96, square(3, 1, Padding::kValid));
  ValueId b = unit(net, x, 64, 1);
  b = unit(net, b, 64, wide(7));
  b = unit(net, b, 64, tall(7));
  b = unit(net, b, 96, square(3, 1, Padding::kValid));
  x = net.concat({a, b}, net.auto_name("concatenate"));
  const ValueId last_strided = reduce(net, x, 192);
  const ValueId last_pooled = maximum(net, x);
  return net.concat({last_strided, last_pooled}, net.auto_name("concatenate"));
}

ValueId v4_block_a(Network& net, ValueId x) {
  const ValueId a = unit(net, x, 96, 1);
  ValueId b = unit(net, x, 64, 1);
  b = unit(net, b, 96, 3);
  ValueId c = unit(net, x, 64, 1);
  c = unit(net, c, 96, 3);
  c = unit(net, c, 96, 3);
  const ValueId d = unit(net, average(net, x), 96, 1);
  return net.concat({a, b, c, d}, net.auto_name("concatenate"));
}

ValueId v4_reduction_a(Network& net, ValueId x) {
  const ValueId a = reduce(net, x, 384);
  ValueId b = unit(net, x, 192, 1);
  b = unit(net, b, 224, 3);
  b = reduce(net, b, 256);
  const ValueId c = maximum(net, x);
  return net.concat({a, b, c}, net.auto_name("concatenate"));
}

ValueId v4_block_b(Network& net, ValueId x) {
  const ValueId a = unit(net, x, 384, 1);
  ValueId b = unit(net, x, 192, 1);
  b = unit(net, b, 224, wide(7));
  b = unit(net, b, 256, tall(7));
  ValueId c = unit(net, x, 192, 1);
  c = unit(net, c, 192, tall(7));
  c = unit(net, c, 224, wide(7));
  c = unit(net, c, 224, tall(7));
  c = unit(net, c, 256, wide(7));
  const ValueId d = unit(net, average(net, x), 128, 1);
  return net.concat({a, b, c, d}, net.auto_name("concatenate"));
}

ValueId v4_reduction_b(Network& net, ValueId x) {
  ValueId a = unit(net, x, 192, 1);
  a = reduce(net, a, 192);
  ValueId b = unit(net, x, 256, 1);
  b = unit(net, b, 256, wide(7));
  b = unit(net, b, 320, tall(7));
  b = reduce(net, b, 320);
  const ValueId c = maximum(net, x);
  return net.concat({a, b, c}, net.auto_name("concatenate"));
}

ValueId v4_fork(Network& net, ValueId x) {
  const ValueId a = unit(net, x, 256, wide(3));
  const ValueId b = unit(net, x, 256, tall(3));
  return net.concat({a, b}, net.auto_name("concatenate"));
}

ValueId v4_block_c(Network& net, ValueId x) {
  const ValueId a = unit(net, x, 256, 1);
  const ValueId b = v4_fork(net, unit(net, x, 384, 1));
  ValueId c = unit(net, x, 384, 1);
  c = unit(net, c, 448, tall(3));
  c = unit(net, c, 512, wide(3));
  c = v4_fork(net, c);
  const ValueId d = unit(net, average(net, x), 256, 1);
  return net.concat({a, b, c, d}, net.auto_name("concatenate"));
}

// The residual scale of Keras is folded into the weights of the last convolution.
ValueId residual(Network& net, ValueId x, const std::vector<ValueId>& branches,
                 const std::string& name, bool is_active) {
  const ValueId mixed = net.concat(branches, name + "_mixed");
  const ValueId up =
      net.conv(mixed, {square(1), net.shape(x).channels, true}, name + "_conv", name + "_conv");
  const std::string scaled = net.auto_name("custom_scale_layer");
  return is_active ? net.add(x, up, Activation::kRelu, name + "_ac")
                   : net.add(x, up, Activation::kNone, scaled);
}

ValueId block35(Network& net, ValueId x, const std::string& name) {
  const ValueId a = unit(net, x, 32, 1);
  ValueId b = unit(net, x, 32, 1);
  b = unit(net, b, 32, 3);
  ValueId c = unit(net, x, 32, 1);
  c = unit(net, c, 48, 3);
  c = unit(net, c, 64, 3);
  return residual(net, x, {a, b, c}, name, true);
}

ValueId block17(Network& net, ValueId x, const std::string& name) {
  const ValueId a = unit(net, x, 192, 1);
  ValueId b = unit(net, x, 128, 1);
  b = unit(net, b, 160, wide(7));
  b = unit(net, b, 192, tall(7));
  return residual(net, x, {a, b}, name, true);
}

ValueId block8(Network& net, ValueId x, const std::string& name, bool is_active) {
  const ValueId a = unit(net, x, 192, 1);
  ValueId b = unit(net, x, 192, 1);
  b = unit(net, b, 224, wide(3));
  b = unit(net, b, 256, tall(3));
  return residual(net, x, {a, b}, name, is_active);
}

ValueId mixed_5b(Network& net, ValueId x) {
  const ValueId a = unit(net, x, 96, 1);
  ValueId b = unit(net, x, 48, 1);
  b = unit(net, b, 64, 5);
  ValueId c = unit(net, x, 64, 1);
  c = unit(net, c, 96, 3);
  c = unit(net, c, 96, 3);
  const ValueId d = unit(net, average(net, x), 64, 1);
  return net.concat({a, b, c, d}, "mixed_5b");
}

ValueId mixed_6a(Network& net, ValueId x) {
  const ValueId a = reduce(net, x, 384);
  ValueId b = unit(net, x, 256, 1);
  b = unit(net, b, 256, 3);
  b = reduce(net, b, 384);
  return net.concat({a, b, maximum(net, x)}, "mixed_6a");
}

ValueId mixed_7a(Network& net, ValueId x) {
  ValueId a = unit(net, x, 256, 1);
  a = reduce(net, a, 384);
  ValueId b = unit(net, x, 256, 1);
  b = reduce(net, b, 288);
  ValueId c = unit(net, x, 256, 1);
  c = unit(net, c, 288, 3);
  c = reduce(net, c, 320);
  return net.concat({a, b, c, maximum(net, x)}, "mixed_7a");
}

struct Inception1 {
  const char* name;
  std::int32_t direct;
  std::array<std::int32_t, 2> large;
  std::array<std::int32_t, 2> small;
  std::int32_t pooled;
};

ValueId v1_block(Network& net, ValueId x, const Inception1& block) {
  const ValueId a = unit(net, x, block.direct, 1);
  ValueId b = unit(net, x, block.large[0], 1);
  b = unit(net, b, block.large[1], 3);
  ValueId c = unit(net, x, block.small[0], 1);
  c = unit(net, c, block.small[1], 3);
  const ValueId d =
      unit(net, net.max_pool(x, kPool3, net.auto_name("max_pooling2d")), block.pooled, 1);
  return net.concat({a, b, c, d}, block.name);
}

ValueId v1_reduce(Network& net, ValueId x, std::int32_t size) {
  return net.max_pool(x, square(size, 2), net.auto_name("max_pooling2d"));
}

}  // namespace

Network inception_v1(std::int32_t size) {
  Network net("inceptionv1");
  ValueId x = unit(net, net.input({size, size, 3}, "input_1"), 64, square(7, 2));
  x = unit(net, v1_reduce(net, x, 3), 64, 1);
  x = v1_reduce(net, unit(net, x, 192, 3), 3);
  x = v1_block(net, x, {"mixed_3b", 64, {96, 128}, {16, 32}, 32});
  x = v1_block(net, x, {"mixed_3c", 128, {128, 192}, {32, 96}, 64});
  x = v1_reduce(net, x, 3);
  x = v1_block(net, x, {"mixed_4b", 192, {96, 208}, {16, 48}, 64});
  x = v1_block(net, x, {"mixed_4c", 160, {112, 224}, {24, 64}, 64});
  x = v1_block(net, x, {"mixed_4d", 128, {128, 256}, {24, 64}, 64});
  x = v1_block(net, x, {"mixed_4e", 112, {144, 288}, {32, 64}, 64});
  x = v1_block(net, x, {"mixed_4f", 256, {160, 320}, {32, 128}, 128});
  x = v1_reduce(net, x, 2);
  x = v1_block(net, x, {"mixed_5b", 256, {160, 320}, {32, 128}, 128});
  x = v1_block(net, x, {"mixed_5c", 384, {192, 384}, {48, 128}, 128});
  const Window everything{net.shape(x).height, net.shape(x).width, 1, Padding::kValid};
  x = net.average_pool(x, everything, "avg_pool");
  x = net.conv(x, {kPointwise, 1001, true}, "logits", "logits");
  net.set_output(net.softmax(net.to_vector(x, "flatten"), "predictions"));
  return net;
}

Network inception_v3(std::int32_t size) {
  Network net("inceptionv3");
  ValueId x = stem_v3(net, size);
  x = v3_block35(net, x, 32, "mixed0");
  x = v3_block35(net, x, 64, "mixed1");
  x = v3_block35(net, x, 64, "mixed2");
  {
    const ValueId a = reduce(net, x, 384);
    ValueId b = unit(net, x, 64, 1);
    b = unit(net, b, 96, 3);
    b = reduce(net, b, 96);
    x = net.concat({a, b, maximum(net, x)}, "mixed3");
  }
  x = v3_block17(net, x, 128, "mixed4");
  x = v3_block17(net, x, 160, "mixed5");
  x = v3_block17(net, x, 160, "mixed6");
  x = v3_block17(net, x, 192, "mixed7");
  {
    ValueId a = unit(net, x, 192, 1);
    a = reduce(net, a, 320);
    ValueId b = unit(net, x, 192, 1);
    b = unit(net, b, 192, wide(7));
    b = unit(net, b, 192, tall(7));
    b = reduce(net, b, 192);
    x = net.concat({a, b, maximum(net, x)}, "mixed8");
  }
  x = v3_block8(net, x, "0", "mixed9");
  x = v3_block8(net, x, "1", "mixed10");
  net.set_output(classify(net, x));
  return net;
}

Network inception_v4(std::int32_t size) {
  Network net("inceptionv4");
  ValueId x = v4_stem(net, size);
  for (int i = 0; i < 4; ++i) x = v4_block_a(net, x);
  x = v4_reduction_a(net, x);
  for (int i = 0; i < 7; ++i) x = v4_block_b(net, x);
  x = v4_reduction_b(net, x);
  for (int i = 0; i < 3; ++i) x = v4_block_c(net, x);
  const Window everything{net.shape(x).height, net.shape(x).width, 1, Padding::kValid};
  x = net.average_pool(x, everything, net.auto_name("average_pooling2d"));
  x = net.to_vector(x, "flatten");
  x = net.dense(x, {1001}, "dense", "dense/logits");
  net.set_output(net.softmax(x, "dense"));
  return net;
}

Network inception_resnet_v2(std::int32_t size) {
  Network net("inceptionresnetv2");
  ValueId x = stem_v3(net, size);
  x = mixed_5b(net, x);
  for (int i = 1; i <= 10; ++i) x = block35(net, x, "block35_" + std::to_string(i));
  x = mixed_6a(net, x);
  for (int i = 1; i <= 20; ++i) x = block17(net, x, "block17_" + std::to_string(i));
  x = mixed_7a(net, x);
  for (int i = 1; i <= 10; ++i) x = block8(net, x, "block8_" + std::to_string(i), i < 10);
  x = net.conv(x, {square(1), 1536, false, Norm::kBatchWithoutScale, Activation::kRelu}, "conv_7b",
               "conv_7b_ac");
  net.set_output(classify(net, x));
  return net;
}

}  // namespace segue::zoo
