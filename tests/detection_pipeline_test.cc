// Tests detection in pipelines of segments, and stages on the host.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <thread>

#include "detectors.h"
#include "environment.h"
#include "expect.h"
#include "faulty_devices.h"

namespace segue {
namespace {

using testing::bytes_of_all;
using testing::expect_equal_boxes;
using testing::expect_error;
using testing::in_segments;
using testing::ModelBuilder;
using testing::shared_cpu;
using testing::small_yolo;
using testing::whole_model;
using tflite::BuiltinOperator;
using tflite::TensorType;

TEST(DetectionPipeline, EqualsTheWholeModelOnEachPicture) {
  const Model model = small_yolo();
  const Detector reference(model);
  PipelineLayout layout = in_segments(model, {1, 3, 5});
  const auto detector = std::make_shared<const Detector>(layout);
  EXPECT_EQ(detector->family(), DetectorFamily::kYolov5);
  layout = with_detector(std::move(layout), detector);
  EXPECT_EQ(layout.device_count(), 3U);
  Pipeline pipeline(layout, testing::devices_with(3, shared_cpu()), {});
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
    expect_equal_boxes(found, whole_model(model, reference, prepared[i]));
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
  // Left, top, right, bottom, score, class.
  const std::array<std::array<float, 6>, 3> rows{
      {{10, -20, 20, -5, 0.9F, 1}, {60, 10, 90, 20, 0.8F, 2}, {70, 70, 90, 90, 0.7F, 3}}};
  const auto inside = read_detections(std::as_bytes(std::span(rows)), testing::whole(64));
  ASSERT_EQ(inside.size(), 1U);
  EXPECT_EQ(inside[0].class_id, 2U);
  EXPECT_EQ(inside[0].right, 64);
}

// --- stages on the host

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

// Four segments run on four devices, followed by a stage on the host. Each lost device leads to a
// new plan, in which the host keeps its stage.
TEST(PipelineHost, NewPlanKeepsHostStage) {
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

}  // namespace
}  // namespace segue
