// Compares the best pipelines of whole CNNs with the other strategies and with the plan's
// predictions.
#include <gtest/gtest.h>

#include "segue/plan.h"
#include "segue/planner.h"
#include "segue/segmentation.h"
#include "segue/zoo.h"

namespace segue {
namespace {

struct OptimalCase {
  const char* model;
  const char* device;
};

class OptimalOnCnns : public ::testing::TestWithParam<OptimalCase> {};

TEST_P(OptimalOnCnns, PlanAgreesAndIsNeverSlower) {
  const Model model = open_model(std::string("zoo:") + GetParam().model);
  const Graph graph(model);
  const DeviceSpec& device = find_device(GetParam().device);
  const auto compiler = make_simulated_compiler(device);
  Nanoseconds before = Nanoseconds::max();
  for (const std::uint32_t devices : {1, 2, 4, 8}) {
    const auto best = segment_optimal(graph, device, devices);
    const DevicePool pool{device, devices, false};
    const Plan plan =
        make_plan(graph, best.segmentation, std::span(&pool, 1), Strategy::kOptimal, best.devices);
    EXPECT_EQ(plan.predicted.bottleneck, best.bottleneck);
    EXPECT_EQ(plan.predicted.latency, best.latency);
    EXPECT_LE(best.bottleneck, before) << "more devices must not hurt";
    before = best.bottleneck;
    const auto pure = segment_optimal(graph, device, devices, {.max_replicas = 1});
    EXPECT_LE(best.bottleneck, pure.bottleneck);
    const auto bottleneck_of = [&](const Segmentation& segmentation) {
      return make_plan(graph, segmentation, *compiler, device, Strategy::kManual)
          .predicted.bottleneck;
    };
    EXPECT_LE(pure.bottleneck,
              bottleneck_of(segment_balanced(graph, devices, *compiler).segmentation));
    EXPECT_LE(pure.bottleneck, bottleneck_of(segment_as_vendor(graph, devices)));
  }
}

INSTANTIATE_TEST_SUITE_P(Models, OptimalOnCnns,
                         ::testing::Values(OptimalCase{"resnet50", "edgetpu-pcie"},
                                           OptimalCase{"resnet101v2", "edgetpu-usb3"},
                                           OptimalCase{"inceptionresnetv2", "edgetpu-pcie"},
                                           OptimalCase{"mobilenetv2", "edgetpu-pcie"},
                                           OptimalCase{"efficientnetliteb4", "edgetpu-usb3"},
                                           OptimalCase{"nasnetmobile", "edgetpu-pcie"}),
                         [](const auto& row) { return std::string(row.param.model); });

}  // namespace
}  // namespace segue
