// Tests that detectors of the zoo equal those of their exporters and verify after a split.
#include <gtest/gtest.h>

#include <algorithm>

#include "environment.h"
#include "model/internal/schema.h"
#include "model_listing.h"
#include "published_models.h"
#include "segue/graph.h"
#include "segue/plan.h"
#include "segue/segmentation.h"
#include "segue/verify.h"
#include "segue/zoo.h"

namespace segue {
namespace {

using testing::detectors;
using testing::PublishedDetector;

struct Exported {
  const char* name;
  std::ptrdiff_t operators;
  const char* listing_sha256;
};

class ExportedZoo : public ::testing::TestWithParam<Exported> {};

TEST_P(ExportedZoo, OperatorsEqualTheExporters) {
  const auto bytes = make_zoo_model(GetParam().name);
  const std::string text = testing::listing(*tflite::GetModel(bytes.data()));
  EXPECT_EQ(std::ranges::count(text, '\n'), GetParam().operators);
  EXPECT_EQ(sha256(std::as_bytes(std::span(text))), GetParam().listing_sha256) << text;
}

// Each detector was compared, operator by operator, with an export of random weights: ultralytics
// 8.4.190 with onnx2tf 1.28.8 (YOLOv8), yolov5 7.0.14, TensorFlow Object Detection API 2.8.0 (SSD),
// and TensorFlow Lite Model Maker 0.4.3 (EfficientDet). The exports differ in the version of MUL,
// which is 3 in YOLOv5, and in the outputs of the last operator of detectors, which have no shape.
INSTANTIATE_TEST_SUITE_P(
    Detectors, ExportedZoo,
    ::testing::Values(Exported{"yolov8n@320", 256,
                               "84f8f9fe832a0f91e817ecf83f88d5d9f9ab934700fe214b8087995daa65d6f7"},
                      Exported{"yolov5n@320", 261,
                               "e2d6b9b45cb31a7051040dd950548fe1b1dea048dc041dc8c0790e5f23bccb45"},
                      Exported{"yolov5m@128", 334,
                               "8caf2ba9cbf8f4a8713ef0dc04abc324dd6bd0108f88824042f9b58f4c7ba34b"},
                      Exported{"ssdmobilenetv1fpn@320", 111,
                               "9fc212e1547858c2c8d3e5b384c45293f5896747fa15558a8ff3db237d755cc0"},
                      Exported{"ssdmobilenetv2", 102,
                               "e360f488214a95d16817376f3663db42832363b798c37fafc3f7edd7f2a2a752"},
                      Exported{"ssdlitemobiledet", 128,
                               "47a6e60c4f616c6786115bfb1ebd168ecadcfbac2d8aefc7f8020b5f423bd9d0"},
                      Exported{"efficientdetlite0", 267,
                               "489dd614105f82d513813c35c31599f7d7da2b23132e442cfffcd5400f786830"},
                      Exported{"efficientdetlite1@192", 322,
                               "2845850612fd374879af28e0018cbf2aa65513c648207d670d328fbdaad192ec"},
                      Exported{"efficientdetlite2@192", 357,
                               "b49acba59581bc491cd02cffd14f987ccc7f61ed47a93491b00506abe615983d"},
                      Exported{"efficientdetlite3@192", 424,
                               "3dc099f6c9144675036bd6fe488ea409d418d61e7d08f577d4484b5a1b3aa7d1"},
                      Exported{"efficientdetlite3x@192", 424,
                               "7c71346504f31d4f9253d1090fcebcbd46af3d09db774bfa00147cc6ab98c436"}),
    [](const auto& row) { return testing::test_name(row.param.name); });

class ZooDetector : public ::testing::TestWithParam<PublishedDetector> {};

TEST_P(ZooDetector, MacsEqualThePublishedOnes) {
  if (GetParam().giga_macs == 0) GTEST_SKIP() << "none published";
  const Model model = open_model(std::string("zoo:") + GetParam().name);
  const double giga_macs = static_cast<double>(Graph(model).macs()) / 1e9;
  // Ultralytics also count batch normalization and activations, which are up to 1 %.
  EXPECT_NEAR(giga_macs / GetParam().giga_macs, 1.0, 0.013);
}

TEST_P(ZooDetector, IsTheSameInThreeSegments) {
  const Model model = open_model(std::string("zoo:") + GetParam().smaller);
  const Graph graph(model);
  const DeviceSpec& device = find_device("edgetpu-pcie");
  const auto compiler = make_simulated_compiler(device);
  const testing::ScratchFolder scratch;
  const auto balanced = segment_balanced(graph, 3, *compiler);
  Plan plan = make_plan(graph, balanced.segmentation, *compiler, device, Strategy::kBalanced);
  identify_model(plan, model);
  write_segments(model, balanced.segmentation, to_json(plan), scratch.path());
  const auto report = verify_segments(model, find_segments(scratch.path()), testing::cpu_backend(),
                                      {.plan = find_plan(scratch.path()), .inputs = 1, .seed = 1});
  EXPECT_EQ(report.mismatch, "");
  EXPECT_EQ(report.segment_count, 3U);
  EXPECT_EQ(report.operator_count, model.operators().size());
  EXPECT_TRUE(report.not_run.empty()) << report.not_run;
}

INSTANTIATE_TEST_SUITE_P(All, ZooDetector, ::testing::ValuesIn(detectors()),
                         [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace segue
