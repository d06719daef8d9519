// Zoo models of ten families, segmented, written, and compared byte for byte with the whole.
#include <gtest/gtest.h>

#include "environment.h"
#include "segue/plan.h"
#include "segue/verify.h"
#include "segue/zoo.h"

namespace segue {
namespace {

class ZooFamily : public ::testing::TestWithParam<const char*> {};

TEST_P(ZooFamily, IsTheSameInTwoToEightBalancedSegments) {
  const Model model = open_model(std::string("zoo:") + GetParam());
  const Graph graph(model);
  const auto compiler = make_simulated_compiler(find_device("edgetpu-pcie"));
  for (std::size_t count = 2; count <= 8; ++count) {
    const testing::ScratchFolder scratch;
    const auto balanced = segment_balanced(graph, count, *compiler);
    Plan plan =
        make_plan(graph, balanced.segmentation, *compiler, find_device("edgetpu-pcie"), "balanced");
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

INSTANTIATE_TEST_SUITE_P(All, ZooFamily,
                         ::testing::Values("resnet50", "resnet50v2", "inceptionv3", "densenet121",
                                           "xception", "nasnetmobile", "efficientnetliteb0",
                                           "mobilenetv2", "vgg16", "squeezenet"),
                         [](const auto& row) { return std::string(row.param); });

}  // namespace
}  // namespace segue
