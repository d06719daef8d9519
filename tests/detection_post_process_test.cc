// Compares decoding with the operator TFLite_Detection_PostProcess of TensorFlow Lite.
#include <flatbuffers/flexbuffers.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <tuple>

#include "detectors.h"
#include "fake_backend.h"

namespace segue {
namespace {

using testing::bytes_of_all;
using testing::expect_equal_boxes;
using testing::in_segments;
using testing::ModelBuilder;
using testing::shared_cpu;
using testing::TensorIndex;
using testing::whole_model;
using tflite::BuiltinOperator;
using tflite::TensorType;

constexpr std::int32_t kRows = 200;
constexpr std::int32_t kPostProcessedClasses = 5;

std::vector<Anchor> random_anchors(std::mt19937_64& random, std::int32_t rows) {
  std::uniform_real_distribution<float> unit(0, 1);
  std::vector<Anchor> anchors;
  for (std::int32_t i = 0; i < rows; ++i)
    anchors.push_back(
        {unit(random), unit(random), 0.05F + 0.3F * unit(random), 0.05F + 0.3F * unit(random)});
  return anchors;
}

TensorIndex real_tensor(ModelBuilder& b, const std::string& name, std::vector<std::int32_t> shape) {
  const auto x = b.tensor(name, std::move(shape));
  b.at(x).type = TensorType::FLOAT32;
  b.at(x).quantization.reset();
  return x;
}

// Adds TFLite_Detection_PostProcess with regular suppression, whose outputs become the model's.
void add_post_process(ModelBuilder& b, TensorIndex boxes, TensorIndex scores, std::int32_t classes,
                      const DetectorOptions& options) {
  const auto rows = static_cast<std::int32_t>(options.anchors.size());
  const auto table = b.constant("anchors", TensorType::FLOAT32, {rows, 4});
  b.at(table).quantization.reset();
  std::memcpy(b.raw().buffers.back()->data.data(), options.anchors.data(),
              options.anchors.size() * sizeof(Anchor));
  const auto most = static_cast<std::int32_t>(options.max_detections);
  const std::vector<TensorIndex> outputs{
      real_tensor(b, "found:0", {1, most, 4}), real_tensor(b, "found:1", {1, most}),
      real_tensor(b, "found:2", {1, most}), real_tensor(b, "found:3", {1})};
  auto& op = b.op(BuiltinOperator::CUSTOM, {boxes, scores, table}, outputs);
  b.raw().operator_codes.back()->custom_code = "TFLite_Detection_PostProcess";
  flexbuffers::Builder custom;
  custom.Map([&] {
    custom.Int("max_detections", most);
    custom.Int("max_classes_per_detection", 1);
    custom.Int("detections_per_class", most);
    custom.Bool("use_regular_nms", true);
    custom.Float("nms_score_threshold", options.score_threshold);
    custom.Float("nms_iou_threshold", options.iou_threshold);
    custom.Int("num_classes", classes);
    custom.Float("y_scale", 10);
    custom.Float("x_scale", 10);
    custom.Float("h_scale", 5);
    custom.Float("w_scale", 5);
  });
  custom.Finish();
  op.custom_options = custom.GetBuffer();
  for (const auto x : outputs) b.output(x);
}

// Makes a model of this operator alone.
Model post_process(const DetectorOptions& options) {
  ModelBuilder b;
  const auto boxes = real_tensor(b, "boxes", {1, kRows, 4});
  const auto scores = real_tensor(b, "scores", {1, kRows, kPostProcessedClasses + 1});
  b.graph().inputs = {boxes, scores};
  add_post_process(b, boxes, scores, kPostProcessedClasses, options);
  return b.build("post-process");
}

// Makes a detector that returns the outputs of this operator in another order.
Model post_processed_detector(std::int32_t most) {
  ModelBuilder b;
  const auto picture = b.input("picture", {1, 64, 64, 3});
  std::vector<TensorIndex> outputs{real_tensor(b, "o:0", {1, most, 4}),
                                   real_tensor(b, "o:1", {1, most}),
                                   real_tensor(b, "o:2", {1, most}), real_tensor(b, "o:3", {1})};
  b.op(BuiltinOperator::CUSTOM, {picture}, outputs);
  b.raw().operator_codes.back()->custom_code = "TFLite_Detection_PostProcess";
  for (const std::size_t at : {2U, 0U, 3U, 1U}) b.output(outputs[at]);
  return b.build("ssd");
}

TEST(PostProcess, RawOutputsEqualTensorFlowLite) {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    std::uniform_real_distribution<float> unit(0, 1);
    std::normal_distribution<float> normal(0, 2);
    DetectorOptions options;
    options.score_threshold = 0.4F + 0.3F * unit(random);
    options.iou_threshold = 0.3F + 0.5F * unit(random);
    options.max_detections = 30;
    options.anchors = random_anchors(random, kRows);
    std::vector<float> boxes(std::size_t{kRows} * 4);
    std::vector<float> scores(std::size_t{kRows} * (kPostProcessedClasses + 1));
    for (float& value : boxes) value = normal(random);
    for (float& value : scores) value = unit(random);
    const std::vector<TensorBytes> raw{bytes_of_all(boxes), bytes_of_all(scores)};
    const Model reference = post_process(options);
    const auto session = testing::cpu_backend().open(reference.bytes(), "reference");
    const std::vector<std::span<const std::byte>> inputs(raw.begin(), raw.end());
    auto given = session->run(inputs);
    const Detector decoded(
        post_processed_detector(30), options.anchors.empty() ? options : [&] {
          DetectorOptions without = options;
          without.anchors.clear();
          return without;
        }());
    EXPECT_EQ(decoded.family(), DetectorFamily::kPostProcessed);
    const std::vector<TensorBytes> reordered{given[2], given[0], given[3], given[1]};
    const auto expected = decoded.decode(reordered, testing::whole(64));
    ASSERT_GT(expected.size(), 5U);
    const Detector raw_detector(
        testing::detector_with({{"b", {1, kRows, 4}}, {"s", {1, kRows, kPostProcessedClasses + 1}}},
                               64, BuiltinOperator::LOGISTIC)
            .build(),
        options);
    expect_equal_boxes(raw_detector.decode(raw, testing::whole(64)), expected);
  }
}

// Makes an SSD with random weights, a picture of 16 pixels and two classes, with or without the
// operator.
Model small_ssd(const DetectorOptions& options, bool has_operator) {
  constexpr std::int32_t kCells = 16 * 16;
  ModelBuilder b;
  const auto picture = b.input("picture", {1, 16, 16, 3});
  const auto head = [&](const std::string& name, std::int32_t columns, std::uint64_t seed) {
    const auto x = b.conv(picture, name, columns, 3);
    testing::fill_randomly(b, b.graph().operators.back()->inputs[1], seed);
    const auto rows = b.tensor(name + "/rows", {1, kCells, columns});
    b.op(BuiltinOperator::RESHAPE, {x, b.int32_constant(name + "/shape", {1, kCells, columns})},
         {rows});
    return rows;
  };
  const auto coded = head("boxes", 4, 5);
  const auto logits = head("classes", 3, 6);
  const auto scores = b.tensor("scores", {1, kCells, 3});
  b.at(scores).quantization->scale = {1.0F / 256};
  b.at(scores).quantization->zero_point = {-128};
  b.op(BuiltinOperator::LOGISTIC, {logits}, {scores});
  const auto real_boxes = real_tensor(b, "real_boxes", {1, kCells, 4});
  const auto real_scores = real_tensor(b, "real_scores", {1, kCells, 3});
  b.op(BuiltinOperator::DEQUANTIZE, {coded}, {real_boxes});
  b.op(BuiltinOperator::DEQUANTIZE, {scores}, {real_scores});
  if (has_operator) {
    add_post_process(b, real_boxes, real_scores, 2, options);
  } else {
    b.output(real_scores);
    b.output(real_boxes);
  }
  return b.build("ssd");
}

// Sorts boxes, because quantized scores are often equal and the operator does not order equal ones.
std::vector<Detection> in_fixed_order(std::vector<Detection> boxes) {
  std::ranges::sort(boxes, {}, [](const Detection& box) {
    return std::tuple(-box.score, box.class_id, box.left, box.top, box.right, box.bottom);
  });
  return boxes;
}

TEST(PostProcess, RawSsdOnPicturesEqualsTheOperator) {
  std::mt19937_64 random(9);
  DetectorOptions options;
  options.score_threshold = 0.6F;
  options.max_detections = 600;  // more than 256 anchors times 2 classes
  options.anchors = random_anchors(random, 16 * 16);
  const Model with_operator = small_ssd(options, true);
  const Model raw = small_ssd(options, false);
  DetectorOptions without_anchors = options;
  without_anchors.anchors.clear();
  const Detector reference(with_operator, without_anchors);
  EXPECT_EQ(reference.family(), DetectorFamily::kPostProcessed);
  for (const Model* model : {&with_operator, &raw}) {
    PipelineLayout layout =
        in_segments(*model, {1, 3, 5, static_cast<std::uint32_t>(model->operators().size())});
    const auto detector =
        std::make_shared<const Detector>(layout, model == &raw ? options : without_anchors);
    layout = with_detector(std::move(layout), detector);
    Pipeline pipeline(layout, testing::devices_with(4, shared_cpu()), {});
    for (std::uint32_t i = 0; i < 5; ++i) {
      const auto prepared = detector->prepare(testing::random_picture(30 + i, 20, i));
      ASSERT_EQ(pipeline.push(std::vector<TensorBytes>{prepared.input}), Flow::kOk);
      PipelineResult result;
      ASSERT_EQ(pipeline.pop(result), Flow::kOk);
      const auto found = read_detections(result.outputs.at(0), prepared.placement);
      EXPECT_GT(found.size(), 5U);
      expect_equal_boxes(in_fixed_order(found),
                         in_fixed_order(whole_model(with_operator, reference, prepared)));
    }
  }
}

TEST(PostProcess, CountLimitsTheRows) {
  DetectorOptions options;
  options.score_threshold = 0;
  const Detector of(post_processed_detector(3), options);
  const auto boxes = bytes_of_all<float>({0, 0, 1, 1, 0, 0, 0.5F, 0.5F, 0, 0, 0.25F, 0.25F});
  const auto decoded = [&](std::vector<float> scores, float count, std::vector<float> classes) {
    return of.decode(std::vector<TensorBytes>{bytes_of_all(scores), boxes,
                                              bytes_of_all<float>({count}), bytes_of_all(classes)},
                     testing::whole(64));
  };
  const auto two = decoded({0.9F, 0.8F, 0.7F}, 2, {4, 0, 0});
  ASSERT_EQ(two.size(), 2U);
  EXPECT_EQ(two[0].class_id, 4U);
  EXPECT_EQ(two[1].right, 32);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(decoded({0.9F, 0.8F, 0.7F}, nan, {4, 0, 0}).size(), 0U);
  EXPECT_EQ(decoded({0.9F, 0.8F, 0.7F}, 1e30F, {-1, nan, 1e30F}).size(), 0U);
}

}  // namespace
}  // namespace segue
