#include "segue/zoo.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "expect.h"
#include "published_models.h"
#include "segue/graph.h"

namespace segue {
namespace {

using testing::expect_error;
using testing::Published;
using testing::published;

TEST(Zoo, CountedParametersMatchPublished) {
  for (const Published& model : published())
    EXPECT_EQ(zoo_keras_parameters(model.name), model.parameters) << model.name;
}

// Returns the number of parameters that Keras counts for the file's content. Weights are counted as
// they are. Each channel of a convolution has one bias in the file and `per_channel` numbers in
// Keras: a bias (1), four of batch normalization (4), or both (5), which the converter folds.
std::uint64_t written_parameters(const Model& model, std::uint64_t per_channel) {
  std::uint64_t sum = 0;
  const auto elements = [&](std::int32_t tensor) {
    std::uint64_t product = 1;
    for (const std::int32_t extent : model.tensor(tensor_id(tensor)).shape)
      product *= static_cast<std::uint64_t>(extent);
    return product;
  };
  for (const Operator& op : model.operators()) {
    const bool is_convolution = op.code == OpCode::kConv2D || op.code == OpCode::kDepthwiseConv2D;
    if (!is_convolution && op.code != OpCode::kFullyConnected) continue;
    sum += elements(op.inputs[1]) + elements(op.inputs[2]) * (is_convolution ? per_channel : 1);
  }
  return sum;
}

TEST(Zoo, WrittenParametersMatchPublished) {
  const std::vector<std::pair<const char*, std::uint64_t>> models{
      {"vgg16", 1}, {"resnet50", 5}, {"mobilenetv2", 4}};
  for (const auto& [name, per_channel] : models) {
    const auto model = std::ranges::find(published(), std::string_view(name), &Published::name);
    ASSERT_NE(model, published().end()) << name;
    EXPECT_EQ(written_parameters(open_model(std::string("zoo:") + name), per_channel),
              model->parameters)
        << name;
  }
}

TEST(Zoo, CatalogueListsModelsAndCounts) {
  const auto catalogue = zoo_catalogue();
  EXPECT_EQ(catalogue.size(), published().size() + testing::detectors().size() + 2);
  const auto expect_listed = [&](const char* name, std::uint64_t parameters) {
    const auto entry = std::ranges::find(catalogue, name, &ZooEntry::name);
    ASSERT_NE(entry, catalogue.end()) << name;
    EXPECT_EQ(entry->keras_parameters, parameters) << name;
  };
  for (const Published& model : published()) expect_listed(model.name, model.parameters);
  for (const testing::PublishedDetector& model : testing::detectors())
    expect_listed(model.name, model.parameters);
}

std::set<std::string> tensor_names(const std::string& model_name) {
  const Model model = open_model("zoo:" + model_name);
  std::set<std::string> names;
  for (const Tensor& tensor : model.tensors()) names.insert(std::string(tensor.name));
  return names;
}

TEST(Zoo, LayersKeepKerasNames) {
  const auto has = [](const std::string& model, std::initializer_list<const char*> layers) {
    const auto names = tensor_names(model);
    for (const char* layer : layers) EXPECT_TRUE(names.contains(layer)) << model << " " << layer;
  };
  has("resnet50", {"conv1_relu", "pool1_pool", "conv4_block1_out", "conv5_block3_out", "avg_pool"});
  has("resnet50v2", {"conv2_block1_out", "conv5_block3_out", "post_relu"});
  has("densenet121", {"conv4_block14_concat", "pool3_pool", "relu"});
  has("inceptionv3", {"mixed0", "mixed4", "mixed10"});
  has("xception", {"add_3", "add_10", "block14_sepconv1_act", "block14_sepconv2_act"});
  has("mobilenet", {"conv_pw_1_relu", "conv_pw_13_relu"});
  has("mobilenetv2", {"block_2_add", "block_16_project_BN", "out_relu"});
  has("vgg16", {"block5_conv3", "block5_pool", "fc1"});
  has("nasnetmobile", {"normal_concat_5", "reduction_concat_reduce_4"});
}

TEST(Zoo, ConvolutionsHaveScalePerChannel) {
  const Model model = open_model("zoo:mobilenetv2");
  for (const Operator& op : model.operators()) {
    if (op.code != OpCode::kConv2D && op.code != OpCode::kDepthwiseConv2D) continue;
    const Tensor& weights = model.tensors()[static_cast<std::size_t>(op.inputs[1])];
    const auto channel_dimension = op.code == OpCode::kConv2D ? 0U : 3U;
    EXPECT_EQ(weights.quantization.scales.size(),
              static_cast<std::size_t>(weights.shape[channel_dimension]));
    EXPECT_EQ(weights.type, ElementType::kInt8);
  }
}

TEST(Zoo, SameNameGivesSameBytes) {
  EXPECT_EQ(sha256(make_zoo_model("squeezenet")), sha256(make_zoo_model("squeezenet")));
}

// The hashes are of models as they were first built. Another machine or compiler must not change
// them.
TEST(Zoo, BytesMatchRecordedHashes) {
  EXPECT_EQ(sha256(make_zoo_model("conv5-f32")),
            "423de33e56f6da4fea6cdaff30607e5fcc632f0d918dd72bcddaff0bdcbe3bb7");
  EXPECT_EQ(sha256(make_zoo_model("mobilenetv2@96")),
            "78c307595006eb69aa223435cc9ecd5d3659ebc33b7ff9891da2e60df600b0c6");
}

TEST(Zoo, InputSizeIsPartOfName) {
  const Model model = open_model("zoo:mobilenet@128");
  EXPECT_TRUE(std::ranges::equal(model.tensor(model.inputs()[0]).shape,
                                 std::vector<std::int32_t>{1, 128, 128, 3}));
  EXPECT_EQ(model.name(), "mobilenet@128");
  const Model wide = open_model("zoo:yolov8n@64x96");
  EXPECT_TRUE(std::ranges::equal(wide.tensor(wide.inputs()[0]).shape,
                                 std::vector<std::int32_t>{1, 64, 96, 3}));
  EXPECT_TRUE(std::ranges::equal(wide.tensor(wide.outputs()[0]).shape,
                                 std::vector<std::int32_t>{1, 84, 8 * 12 + 4 * 6 + 2 * 3}));
}

TEST(Zoo, UnknownNamesAndSizesAreRefused) {
  expect_error(ErrorCode::kInvalidArgument, [] { (void)make_zoo_model("resnet51"); },
               {"resnet51", "'resnet50'"});
  expect_error(ErrorCode::kInvalidArgument, [] { (void)make_zoo_model("resnet50@7"); },
               {"from 32 to 2048"});
  expect_error(ErrorCode::kInvalidArgument, [] { (void)make_zoo_model("resnet50@"); });
  expect_error(ErrorCode::kInvalidArgument, [] { (void)make_zoo_model("resnet50@12x"); });
  expect_error(ErrorCode::kInvalidArgument, [] { (void)make_zoo_model("resnet50@64x96"); },
               {"square"});
  expect_error(ErrorCode::kInvalidArgument, [] { (void)make_zoo_model("yolov5s@100"); },
               {"multiple of 32, such as 96"});
  expect_error(ErrorCode::kInvalidArgument, [] { (void)make_zoo_model("yolov5s@64x"); });
  expect_error(ErrorCode::kInvalidArgument, [] { (void)make_zoo_model("conv5-f0"); },
               {"from 1 to 4096"});
  expect_error(ErrorCode::kInvalidArgument, [] { (void)make_zoo_model("conv5-f99999999999"); });
  expect_error(ErrorCode::kInvalidArgument, [] { (void)make_zoo_model(""); });
  expect_error(ErrorCode::kInvalidArgument, [] { (void)make_zoo_model("vgg16@2048"); },
               {"do not fit"});
}

}  // namespace
}  // namespace segue
