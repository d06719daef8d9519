// Compares the zoo's networks with files of the TensorFlow converter, and tests the rules that make
// them equal.
#include <gtest/gtest.h>

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "model/internal/schema.h"
#include "model_listing.h"
#include "segue/model.h"
#include "segue/zoo.h"
#include "zoo/converter.h"

namespace segue {
namespace {

using zoo::Network;
using zoo::ValueId;

struct Converted {
  const char* name;
  std::ptrdiff_t operators;
  const char* listing_sha256;
};

class ConvertedZoo : public ::testing::TestWithParam<Converted> {};

TEST_P(ConvertedZoo, OperatorsMatchConverterOutput) {
  const auto bytes = make_zoo_model(GetParam().name);
  const std::string text = testing::listing(*tflite::GetModel(bytes.data()));
  EXPECT_EQ(std::ranges::count(text, '\n'), GetParam().operators);
  EXPECT_EQ(sha256(std::as_bytes(std::span(text))), GetParam().listing_sha256) << text;
}

// The hashes are those of listings of the same networks in keras.applications (Keras 3.15.1, random
// weights), converted to int8 by TensorFlow 2.19.1.
INSTANTIATE_TEST_SUITE_P(
    Keras, ConvertedZoo,
    ::testing::Values(
        Converted{"mobilenetv2", 65,
                  "6da9c2351e33c42100947342f2978b6cb5e46624e742bfde2425e7bf6ef98713"},
        Converted{"xception", 104,
                  "d4056afd39b842c440505b8aef6a2b34cd2cddb3ada7db91cff57d7c7983400f"},
        Converted{"inceptionv3", 125,
                  "b97323394c3ac0fb225d49ab1d6ce795c70abbdd20d68d02bb8de5df6770fb50"},
        Converted{"nasnetmobile", 571,
                  "34e4275734b3091b9326301302d1eced4e6fb4d5e61bf7c35234824cc8791fc7"},
        Converted{"inceptionresnetv2", 335,
                  "114ed430af66bd6dd3958dd3bade4bf91b5af99673cb3a6b402cc0bb5543d377"},
        Converted{"resnet50", 75,
                  "1b8c9744af840ad63e66d3e623be57bc80fe9d5dd3b0de6f2311c62b04444281"},
        Converted{"densenet121", 311,
                  "f1b7a271aac28ee3484bcbeacb8ab9127134156b4c5a537413fc8076b7367706"},
        Converted{"vgg16", 23, "ff15662d932ef3184218e090a0860fd0c0790c75aeb306b91eab80117b4245c0"},
        Converted{"vgg19", 26, "ae523b295b22272044f0a3d658daab1fee9f75495ba62a9e0641e760c305c757"},
        Converted{"mobilenet", 31,
                  "569265ebb0d4ea87537fef97557741d715d6c75e4713dc0bf253bca7b3961c69"},
        Converted{"resnet50v2", 115,
                  "c90533333c86ff7b05b4a87314ee0920f53fc7ddd3e59e5d19b83e058be47cb1"},
        Converted{"densenet169", 431,
                  "dedb2f8ec50083dd2f88f13a6db14c591964c692c086cc7db7790321a4ac946f"},
        Converted{"densenet201", 511,
                  "6de11ced0f72010ce24315dd84945c5541d4cb312f4b807f50cf6e4746c98c7c"},
        Converted{"resnet101", 143,
                  "753d177d085e123cf89caa5954d64d30946db5b38a245733ed17f3859dc98769"},
        Converted{"mobilenetv3large", 124,
                  "f847e8c72fc28095bf89b18af599eeb77f6d5249f91fb4a368431dd82f26b847"}),
    [](const auto& row) { return std::string(row.param.name); });

zoo::ConvOptions pointwise(zoo::Activation activation = zoo::Activation::kNone) {
  return {zoo::kPointwise, 4, true, zoo::Norm::kNone, activation};
}

std::vector<std::string> output_names(const Network& network) {
  std::vector<std::string> names;
  for (const zoo::Layer& layer : network.layers()) names.push_back(layer.output_name);
  return names;
}

TEST(ZooConverter, ReadersAreSortedByName) {
  Network net("net");
  const ValueId x = net.conv(net.input({4, 4, 4}, "x"), pointwise(), "stem", "stem");
  std::vector<ValueId> parts;
  for (const char* name : {"conv2d_9", "conv2d_93", "max_pooling2d", "average_pooling2d", "conv2d"})
    parts.push_back(net.conv(x, pointwise(), name, name));
  net.set_output(net.concat(parts, "mixed"));
  EXPECT_EQ(output_names(as_converted(net)),
            (std::vector<std::string>{"stem", "average_pooling2d", "conv2d", "conv2d_93",
                                      "conv2d_9", "max_pooling2d", "mixed"}));
}

TEST(ZooConverter, OperatorFollowsItsLastInput) {
  Network net("net");
  const ValueId x = net.conv(net.input({4, 4, 4}, "x"), pointwise(), "stem", "stem");
  const ValueId a = net.conv(x, pointwise(), "a", "a");
  const ValueId b = net.conv(x, pointwise(), "b", "b");
  const ValueId sum = net.add(a, x, zoo::Activation::kNone, "z_sum");
  net.set_output(net.concat({b, sum}, "mixed"));
  EXPECT_EQ(output_names(as_converted(net)),
            (std::vector<std::string>{"stem", "a", "z_sum", "b", "mixed"}));
}

TEST(ZooConverter, DuplicateOperatorsAreMerged) {
  Network net("net");
  const ValueId x = net.conv(net.input({4, 4, 4}, "x"), pointwise(), "stem", "stem");
  const ValueId first = net.average_pool(x, zoo::square(3), "left");
  const ValueId second = net.average_pool(x, zoo::square(3), "right");
  const ValueId other = net.average_pool(x, zoo::square(5), "wide");
  const ValueId same = net.add(first, second, zoo::Activation::kNone, "sum");
  net.set_output(net.add(same, other, zoo::Activation::kNone, "total"));
  const Network converted = as_converted(net);
  EXPECT_EQ(output_names(converted),
            (std::vector<std::string>{"stem", "left", "sum", "wide", "total"}));
  EXPECT_EQ(converted.layers()[2].inputs, std::vector(2, converted.layers()[1].output));
}

TEST(ZooConverter, LayersWithWeightsAreNotMerged) {
  Network net("net");
  const ValueId x = net.input({4, 4, 4}, "x");
  net.set_output(net.concat(
      {net.conv(x, pointwise(), "a", "a"), net.conv(x, pointwise(), "b", "b")}, "mixed"));
  EXPECT_EQ(as_converted(net).layers().size(), 3U);
}

TEST(ZooConverter, SoleReluReaderIsFused) {
  Network net("net");
  const ValueId x = net.conv(net.input({4, 4, 4}, "x"), pointwise(), "stem", "stem");
  const ValueId y = net.conv(net.relu(x, "relu"), pointwise(), "next", "next");
  net.set_output(net.add(net.relu(y, "kept"), y, zoo::Activation::kNone, "sum"));
  const Network converted = as_converted(net);
  EXPECT_EQ(output_names(converted), (std::vector<std::string>{"relu", "next", "kept", "sum"}));
  EXPECT_EQ(converted.layers()[0].activation, zoo::Activation::kRelu);
  EXPECT_EQ(converted.layers()[1].activation, zoo::Activation::kNone);
}

}  // namespace
}  // namespace segue
