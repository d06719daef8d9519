// Segments and writes zoo models of ten families and compares them byte for byte with the whole
// model.
#include <gtest/gtest.h>

#include <thread>

#include "environment.h"
#include "segue/plan.h"
#include "segue/planner.h"
#include "segue/segmentation.h"
#include "segue/verify.h"
#include "segue/zoo.h"

namespace segue {
namespace {

class ZooFamily : public ::testing::TestWithParam<const char*> {};

TEST_P(ZooFamily, TwoToEightBalancedSegmentsVerify) {
  const Model model = open_model(std::string("zoo:") + GetParam());
  const Graph graph(model);
  const auto compiler = make_simulated_compiler(find_device("edgetpu-pcie"));
  for (std::size_t count = 2; count <= 8; ++count) {
    const testing::ScratchFolder scratch;
    const auto balanced = segment_balanced(graph, count, *compiler);
    Plan plan = make_plan(graph, balanced.segmentation, *compiler, find_device("edgetpu-pcie"),
                          Strategy::kBalanced);
    identify_model(plan, model);
    write_segments(model, balanced.segmentation, to_json(plan), scratch.path());
    const auto report =
        verify_segments(model, find_segments(scratch.path()), testing::cpu_backend(),
                        {.plan = find_plan(scratch.path()), .inputs = 1, .seed = count});
    EXPECT_EQ(report.mismatch, "") << count << " segments";
    EXPECT_EQ(report.segment_count, count);
    EXPECT_EQ(report.operator_count, model.operators().size());
  }
}

// Returns plans of every strategy except the one above, for equal and unequal devices.
std::vector<Plan> plans_of(const Graph& graph) {
  const DeviceSpec& device = find_device("edgetpu-pcie");
  std::vector<Plan> plans;
  Profile profile = Profile::simulated(graph, device);
  const std::vector<Segmentation> even{segment_as_vendor(graph, 4),
                                       segment_profiled(profile, 4).segmentation};
  const auto compiler = make_simulated_compiler(device);
  for (const Segmentation& segmentation : even)
    plans.push_back(make_plan(graph, segmentation, *compiler, device, Strategy::kProfile));
  const auto equal = open_devices("edgetpu-pcie", 6);
  const auto unequal = open_devices("2xedgetpu-usb3:shared,2xedgetpu-pcie", 0);
  const auto add = [&](std::span<const DevicePool> pools, const OptimalOptions& options) {
    const auto best = segment_optimal(graph, pools, options);
    plans.push_back(make_plan(graph, best.segmentation, pools, Strategy::kOptimal, best.devices));
    plans.back().bound = best.bound;
  };
  add(equal, {});
  add(equal, {.max_replicas = 1});
  add(equal, {.objective = Objective::kLatency});
  add(unequal, {.max_replicas = 1});
  return plans;
}

TEST_P(ZooFamily, PlansOfAllStrategiesVerify) {
  const Model model = open_model(std::string("zoo:") + GetParam());
  const Graph graph(model);
  for (const Plan& plan : plans_of(graph)) {
    const testing::ScratchFolder scratch;
    write_segments(model, plan, scratch.path());
    const auto report =
        verify_segments(model, find_segments(scratch.path()), testing::cpu_backend(),
                        {.plan = find_plan(scratch.path()), .inputs = 1, .seed = 1});
    EXPECT_EQ(report.mismatch, "") << to_json(plan);
    EXPECT_EQ(report.segment_count, plan.stages.size());
  }
}

// Planners that run at the same time give the same plans as planners that run one after the other.
TEST_P(ZooFamily, PlansAreSameInEveryRunAndThread) {
  const Model model = open_model(std::string("zoo:") + GetParam());
  const Graph graph(model);
  const auto text = [&] {
    std::string all;
    for (const Plan& plan : plans_of(graph)) all += to_json(plan);
    return all;
  };
  const std::string once = text();
  std::vector<std::string> others(3);
  {
    std::vector<std::jthread> threads;
    for (std::string& other : others) threads.emplace_back([&] { other = text(); });
  }
  for (const std::string& other : others) EXPECT_EQ(other, once);
}

INSTANTIATE_TEST_SUITE_P(All, ZooFamily,
                         ::testing::Values("resnet50", "resnet50v2", "inceptionv3", "densenet121",
                                           "xception", "nasnetmobile", "efficientnetliteb0",
                                           "mobilenetv2", "vgg16", "squeezenet"),
                         [](const auto& row) { return std::string(row.param); });

}  // namespace
}  // namespace segue
