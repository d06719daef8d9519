#include "segue/zoo.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "expect.h"
#include "segue/graph.h"

namespace segue {
namespace {

using testing::expect_error;

struct Published {
  const char* name;
  std::uint64_t parameters;  // Keras' count_params(); keras.io/api/applications
  double giga_macs;          // counted on the Keras graphs; 0: not stated
};

// InceptionV4: kentsommer's Keras model; EfficientNet-Lite: sebastian-sz's; SqueezeNet 1.1:
// rcmalli's.
const std::vector<Published>& published() {
  static const std::vector<Published> kModels{{"mobilenet", 4253864, 0.569},
                                              {"mobilenetv2", 3538984, 0.301},
                                              {"nasnetmobile", 5326716, 0.564},
                                              {"efficientnetliteb0", 4694024, 0.385},
                                              {"efficientnetliteb1", 5470344, 0.600},
                                              {"efficientnetliteb2", 6150168, 0.860},
                                              {"efficientnetliteb3", 8273768, 1.383},
                                              {"efficientnetliteb4", 13118936, 2.553},
                                              {"densenet121", 8062504, 2.834},
                                              {"densenet169", 14307880, 3.360},
                                              {"densenet201", 20242984, 4.291},
                                              {"xception", 22910480, 8.357},
                                              {"inceptionv3", 23851784, 5.713},
                                              {"inceptionv4", 42712937, 12.254},
                                              {"inceptionresnetv2", 55873736, 13.156},
                                              {"resnet50", 25636712, 3.858},
                                              {"resnet101", 44707176, 7.570},
                                              {"resnet152", 60419944, 11.282},
                                              {"resnet50v2", 25613800, 3.482},
                                              {"resnet101v2", 44675560, 7.194},
                                              {"resnet152v2", 60380648, 10.907},
                                              {"vgg16", 138357544, 0},
                                              {"vgg19", 143667240, 0},
                                              {"squeezenet", 1235496, 0}};
  return kModels;
}

TEST(Zoo, ParameterCountsEqualThePublishedOnes) {
  for (const Published& model : published())
    EXPECT_EQ(zoo_keras_parameters(model.name), model.parameters) << model.name;
}

TEST(Zoo, CatalogueListsEveryModelWithItsCount) {
  const auto catalogue = zoo_catalogue();
  EXPECT_EQ(catalogue.size(), published().size() + 2);
  for (const Published& model : published()) {
    const auto entry = std::ranges::find(catalogue, model.name, &ZooEntry::name);
    ASSERT_NE(entry, catalogue.end()) << model.name;
    EXPECT_EQ(entry->keras_parameters, model.parameters);
  }
}

class ZooModel : public ::testing::TestWithParam<Published> {};

TEST_P(ZooModel, MacsEqualThePublishedOnes) {
  if (GetParam().giga_macs == 0) GTEST_SKIP() << "none published";
  const Model model = open_model(std::string("zoo:") + GetParam().name);
  constexpr double kHalfALastDigit = 0.0005;
  EXPECT_NEAR(static_cast<double>(Graph(model).macs()) / 1e9, GetParam().giga_macs,
              kHalfALastDigit);
}

INSTANTIATE_TEST_SUITE_P(All, ZooModel, ::testing::ValuesIn(published()),
                         [](const auto& row) { return row.param.name; });

std::set<std::string> tensor_names(const std::string& model_name) {
  const Model model = open_model("zoo:" + model_name);
  std::set<std::string> names;
  for (const Tensor& tensor : model.tensors()) names.insert(std::string(tensor.name));
  return names;
}

TEST(Zoo, LayersKeepTheNamesOfKeras) {
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

TEST(Zoo, EveryConvolutionHasOneScalePerChannel) {
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

TEST(Zoo, SameNameGivesTheSameBytes) {
  EXPECT_EQ(sha256(make_zoo_model("squeezenet")), sha256(make_zoo_model("squeezenet")));
}

// The hash of one model as first made; another machine or compiler must not change it.
TEST(Zoo, BytesAreStableAcrossMachines) {
  EXPECT_EQ(sha256(make_zoo_model("conv5-f32")),
            "0fb8dd02efdc360280585491993eda05c50079cf1f18d4d32a5b7a049c7aff80");
  EXPECT_EQ(sha256(make_zoo_model("mobilenetv2@96")),
            "509e93d24403c73f3904c009f36426a91f5d7ed015c1ed83a064ce24d96f66fb");
}

TEST(Zoo, InputSizeIsAPartOfTheName) {
  const Model model = open_model("zoo:mobilenet@128");
  EXPECT_TRUE(std::ranges::equal(model.tensor(model.inputs()[0]).shape,
                                 std::vector<std::int32_t>{1, 128, 128, 3}));
  EXPECT_EQ(model.name(), "mobilenet@128");
}

TEST(Zoo, UnknownNamesAndSizesAreRefused) {
  expect_error(ErrorCode::kInvalidArgument, [] { (void)make_zoo_model("resnet51"); },
               {"resnet51", "'resnet50'"});
  expect_error(ErrorCode::kInvalidArgument, [] { (void)make_zoo_model("resnet50@7"); },
               {"from 32 to 2048"});
  expect_error(ErrorCode::kInvalidArgument, [] { (void)make_zoo_model("resnet50@"); });
  expect_error(ErrorCode::kInvalidArgument, [] { (void)make_zoo_model("resnet50@12x"); });
  expect_error(ErrorCode::kInvalidArgument, [] { (void)make_zoo_model("conv5-f0"); },
               {"from 1 to 4096"});
  expect_error(ErrorCode::kInvalidArgument, [] { (void)make_zoo_model("conv5-f99999999999"); });
  expect_error(ErrorCode::kInvalidArgument, [] { (void)make_zoo_model(""); });
}

}  // namespace
}  // namespace segue
