// Detection through segments: the stage of the host, and TensorFlow Lite's own post-processing.
#include <flatbuffers/flexbuffers.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "detectors.h"
#include "environment.h"
#include "expect.h"
#include "faulty_devices.h"

namespace segue {
namespace {

using testing::bytes_of_all;
using testing::expect_error;
using testing::ModelBuilder;
using testing::small_yolo;
using testing::TensorIndex;
using tflite::BuiltinOperator;
using tflite::TensorType;

PipelineLayout in_segments(const Model& model, const std::vector<std::uint32_t>& cuts) {
  std::vector<Model> segments;
  std::uint32_t begin = 0;
  for (const std::uint32_t end : cuts) {
    const auto operators = testing::operators(begin, end - 1);
    segments.push_back(parse_model(extract_segment(model, operators).to_bytes(),
                                   "segment " + std::to_string(segments.size())));
    begin = end;
  }
  return pipeline_layout(std::move(segments), {});
}

std::vector<Detection> whole_model(const Model& model, const Detector& detector,
                                   const PreparedPicture& prepared) {
  const auto session = testing::cpu_backend().open(model.bytes(), model.name());
  const std::span<const std::byte> input(prepared.input);
  return detector.decode(session->run({&input, 1}), prepared.placement);
}

void expect_equal(const std::vector<Detection>& found, const std::vector<Detection>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i)
    EXPECT_TRUE(testing::operator_equals(found[i], expected[i])) << "box " << i;
}

std::shared_ptr<const Backend> cpu() {
  return {&testing::cpu_backend(), [](const Backend*) {}};
}

TEST(DetectionPipeline, EqualsTheWholeModelOnEachPicture) {
  const Model model = small_yolo();
  const Detector reference(model);
  PipelineLayout layout = in_segments(model, {1, 3, 5});
  const auto detector = std::make_shared<const Detector>(layout);
  EXPECT_EQ(detector->family(), DetectorFamily::kYolov5);
  layout = with_detector(std::move(layout), detector);
  EXPECT_EQ(layout.device_count(), 3U);
  Pipeline pipeline(layout, testing::devices_with(3, cpu()), {});
  ASSERT_EQ(pipeline.outputs().size(), 1U);
  EXPECT_EQ(pipeline.outputs()[0].name, "detections");
  constexpr std::uint32_t kPictures = 20;
  std::vector<PreparedPicture> prepared;
  for (std::uint32_t i = 0; i < kPictures; ++i)
    prepared.push_back(detector->prepare(testing::random_picture(40 + i, 100 - 4 * i, i)));
  const std::jthread producer([&] {
    for (const PreparedPicture& of : prepared)
      EXPECT_EQ(pipeline.push(std::vector<TensorBytes>{of.input}), Flow::kOk);
    pipeline.close();
  });
  PipelineResult result;
  std::size_t boxes = 0;
  for (std::uint32_t i = 0; i < kPictures; ++i) {
    ASSERT_EQ(pipeline.pop(result), Flow::kOk);
    ASSERT_EQ(result.number, i);
    const auto found = read_detections(result.outputs.at(0), prepared[i].placement);
    expect_equal(found, whole_model(model, reference, prepared[i]));
    boxes += found.size();
  }
  EXPECT_GT(boxes, kPictures);
  const auto stage = pipeline.statistics().stages.back();
  EXPECT_EQ(stage.segment, "detection");
  EXPECT_TRUE(stage.is_on_host);
  ASSERT_EQ(stage.devices.size(), 1U);
  EXPECT_EQ(stage.devices[0].name, "host");
  EXPECT_EQ(stage.devices[0].inputs, kPictures);
  EXPECT_GT(stage.mean_time.count(), 0);
}

TEST(DetectionPipeline, ProbabilityIsKnownAcrossACut) {
  ModelBuilder b = testing::detector_with({}, 300);
  const auto boxes = b.tensor("boxes", {1, 1917, 4});
  const auto scores = b.tensor("scores", {1, 1917, 2});
  const auto output = b.tensor("output", {1, 1917, 2});
  for (const auto x : {boxes, scores, output}) {
    b.at(x).type = TensorType::FLOAT32;
    b.at(x).quantization.reset();
  }
  b.op(BuiltinOperator::RESHAPE, {0}, {boxes});
  b.op(BuiltinOperator::LOGISTIC, {0}, {scores});
  b.op(BuiltinOperator::RESHAPE, {scores}, {output});
  b.output(boxes);
  b.output(output);
  const Model model = b.build();
  const Detector whole(model);
  const Detector cut(in_segments(model, {2, 3}));
  std::vector<float> values(std::size_t{1917} * 2);
  values[1] = 0.5F;
  const std::vector<TensorBytes> outputs{TensorBytes(std::size_t{1917} * 16), bytes_of_all(values)};
  for (const Detector* of : {&whole, &cut}) {
    const auto found = of->decode(outputs, testing::whole(300));
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].score, 0.5F);
  }
}

TEST(DetectionPipeline, DetectionsOfWrongSizeAreRefused) {
  expect_error(ErrorCode::kInvalidArgument,
               [] { (void)read_detections(TensorBytes(25), testing::whole(64)); },
               {"rows of 24 bytes", "25"});
  expect_error(ErrorCode::kInvalidArgument, [] { (void)read_detections({}, {}); }, {"0 x 0"});
}

// --- stages of the host

std::shared_ptr<const Backend> chain_backend(std::size_t count) {
  return std::make_shared<testing::FakeBackend>(testing::chain_of(count));
}

TEST(PipelineHost, UsesNoDevice) {
  PipelineLayout layout = testing::layout_of(3);
  layout.segments[1].host = chain_backend(3);
  EXPECT_EQ(layout.device_count(), 2U);
  std::vector<std::string> opened;
  PipelineOptions options;
  options.on_opening = [&](const std::string& device, std::uint32_t number, std::uint32_t count) {
    opened.push_back(device + " " + std::to_string(number) + "/" + std::to_string(count));
  };
  Pipeline pipeline(layout, testing::devices_with(2, chain_backend(3)), options);
  EXPECT_THAT(opened, ::testing::ElementsAre("tpu0 1/2", "tpu1 2/2"));
  testing::expect_all_in_order(pipeline, 50, 3);
  const auto stages = pipeline.statistics().stages;
  EXPECT_EQ(stages[1].devices.at(0).name, "host");
  EXPECT_FALSE(stages[2].is_on_host);
  EXPECT_EQ(stages[2].devices.at(0).name, "tpu1");
}

TEST(PipelineHost, SeveralThreadsKeepTheOrder) {
  PipelineLayout layout = testing::layout_of(2, {1, 3});
  layout.segments[1].host = chain_backend(2);
  Pipeline pipeline(layout, testing::devices_with(1, chain_backend(2)), {});
  testing::expect_all_in_order(pipeline, 200, 2);
  EXPECT_EQ(pipeline.statistics().stages[1].devices.size(), 3U);
}

TEST(PipelineHost, SpareReplacesADeviceAndNotTheHost) {
  testing::FaultyDevices faulty(testing::chain_of(2), 2);
  faulty.plan(0, testing::Fault::kError, 5);
  PipelineLayout layout = testing::layout_of(2);
  layout.segments[1].host = chain_backend(2);
  Pipeline pipeline(layout, faulty.devices(), {});
  testing::expect_all_in_order(pipeline, 50, 2);
  ASSERT_EQ(pipeline.statistics().losses.size(), 1U);
  EXPECT_EQ(pipeline.statistics().losses[0].remedy, "spare device tpu1");
}

TEST(PipelineHost, FailureEndsThePipelineDespiteSpares) {
  auto segments = testing::chain_of(2);
  segments["1"].compute = [](auto, auto&) { throw Error(ErrorCode::kInternal, "cannot decode"); };
  PipelineLayout layout = testing::layout_of(2);
  layout.segments[1].host = std::make_shared<testing::FakeBackend>(segments);
  Pipeline pipeline(layout, testing::devices_with(3, chain_backend(2)), {});
  testing::push_until_error(pipeline, 5);
  PipelineResult result;
  expect_error(ErrorCode::kDevice, [&] { (void)pipeline.pop(result); },
               {"1: no device is left to run it", "host", "cannot decode"});
}

// Four segments on four devices and a stage of the host behind them; each device that is lost leads
// to a new plan, in which the host keeps its stage.
TEST(PipelineHost, NewPlansKeepIt) {
  testing::FaultyDevices faulty(testing::chain_in_pieces(), 4);
  faulty.plan(1, testing::Fault::kError, 20);
  faulty.plan(3, testing::Fault::kVanish, 50);
  auto host = testing::chain_of(5);
  const auto with_host = [&](PipelineLayout layout) {
    layout.segments.push_back({"4", {}, nullptr, 1, std::make_shared<testing::FakeBackend>(host)});
    return layout;
  };
  PipelineOptions options;
  options.replan = [&](std::uint32_t devices) -> std::optional<PipelineLayout> {
    return with_host(*testing::fewer_pieces(devices));
  };
  Pipeline pipeline(with_host(testing::layout_of(4)), faulty.devices(), options);
  testing::expect_all_in_order(pipeline, 300, 5);
  EXPECT_EQ(pipeline.statistics().losses.size(), 2U);
  const auto stages = pipeline.statistics().stages;
  ASSERT_EQ(stages.size(), 3U);
  EXPECT_EQ(stages[2].devices.at(0).name, "host");
}

TEST(PipelineHost, NewPlanWithoutItIsRefused) {
  testing::FaultyDevices faulty(testing::chain_in_pieces(), 4);
  faulty.plan(1, testing::Fault::kError, 3);
  PipelineLayout layout = testing::layout_of(4);
  layout.segments.push_back(
      {"4", {}, nullptr, 1, std::make_shared<testing::FakeBackend>(testing::chain_of(5))});
  PipelineOptions options;
  options.replan = testing::fewer_pieces;
  Pipeline pipeline(layout, faulty.devices(), options);
  testing::push_until_error(pipeline, 20);
  PipelineResult result;
  expect_error(ErrorCode::kDevice,
               [&] {
                 while (pipeline.pop(result) == Flow::kOk) {
                 }
               },
               {"0 threads on the host, but the pipeline has 1"});
}

// --- TFLite_Detection_PostProcess

constexpr std::int32_t kRows = 200;
constexpr std::int32_t kPostProcessedClasses = 5;

std::vector<Anchor> random_anchors(std::mt19937_64& random) {
  std::uniform_real_distribution<float> unit(0, 1);
  std::vector<Anchor> anchors;
  for (std::int32_t i = 0; i < kRows; ++i)
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

// The operator alone, from coded boxes and probabilities to its four outputs.
Model post_process(const std::vector<Anchor>& anchors, const DetectorOptions& options) {
  ModelBuilder b;
  const auto boxes = real_tensor(b, "boxes", {1, kRows, 4});
  const auto scores = real_tensor(b, "scores", {1, kRows, kPostProcessedClasses + 1});
  b.graph().inputs = {boxes, scores};
  const auto table = b.constant("anchors", TensorType::FLOAT32, {kRows, 4});
  b.at(table).quantization.reset();
  std::memcpy(b.raw().buffers.back()->data.data(), anchors.data(), anchors.size() * sizeof(Anchor));
  const auto most = static_cast<std::int32_t>(options.max_detections);
  std::vector<TensorIndex> outputs{
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
    custom.Int("num_classes", kPostProcessedClasses);
    custom.Float("y_scale", 10);
    custom.Float("x_scale", 10);
    custom.Float("h_scale", 5);
    custom.Float("w_scale", 5);
  });
  custom.Finish();
  op.custom_options = custom.GetBuffer();
  for (const auto x : outputs) b.output(x);
  return b.build("post-process");
}

// A detector whose outputs are those of the operator, in another order.
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
    options.anchors = random_anchors(random);
    std::vector<float> boxes(std::size_t{kRows} * 4);
    std::vector<float> scores(std::size_t{kRows} * (kPostProcessedClasses + 1));
    for (float& value : boxes) value = normal(random);
    for (float& value : scores) value = unit(random);
    const std::vector<TensorBytes> raw{bytes_of_all(boxes), bytes_of_all(scores)};
    const Model reference = post_process(options.anchors, options);
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
    expect_equal(raw_detector.decode(raw, testing::whole(64)), expected);
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
