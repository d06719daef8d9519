// Compares the planner with all possible pipelines, on thousands of random graphs of up to 12
// operators.
#include <gtest/gtest.h>

#include <random>

#include "model_builder.h"
#include "planner/optimal/range_stages.h"
#include "reference/best_pipeline.h"
#include "reference/random_device.h"
#include "reference/random_model.h"
#include "segue/cost.h"
#include "segue/planner.h"

namespace segue {
namespace {

using testing::BestPipeline;
using testing::random_device;

constexpr std::size_t kMostOperators = 12;
// With more ideals, trying every chain of four cuts takes minutes.
constexpr std::size_t kMostIdeals = 150;

class BruteForce : public ::testing::TestWithParam<unsigned> {};

TEST_P(BruteForce, EqualDevicesMatchBestPipeline) {
  std::mt19937 random(GetParam());
  int searched = 0;
  for (int round = 0; round < 400; ++round) {
    const Model model = testing::random_model(random, 2 + static_cast<int>(random() % 8));
    if (model.operators().size() > kMostOperators) continue;
    const Graph graph(model);
    const DevicePool pool{random_device(random), static_cast<std::uint32_t>(1 + round % 5),
                          round % 7 == 0};
    const std::span pools(&pool, 1);
    const std::uint32_t replicas = round % 3 == 0 ? 0 : 1;
    BestPipeline best(graph, pools, replicas);
    if (best.ideals() > kMostIdeals) continue;
    ++searched;
    EXPECT_EQ(segment_optimal(graph, pools, {replicas}).bottleneck.count(), best.bottleneck())
        << "round " << round;
  }
  EXPECT_GT(searched, 250);
}

TEST_P(BruteForce, UnequalDevicesMatchEnumeration) {
  std::mt19937 random(GetParam() + 5000);
  for (int round = 0; round < 60; ++round) {
    const Model model = testing::random_model(random, 2 + static_cast<int>(random() % 4));
    if (model.operators().size() > 8) continue;
    const Graph graph(model);
    const auto pools = testing::random_pools(random);
    const auto replicas = static_cast<std::uint32_t>(random() % 3);
    BestPipeline best(graph, pools, replicas);
    EXPECT_EQ(segment_optimal(graph, pools, {replicas}).bottleneck.count(), best.bottleneck())
        << "round " << round;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, BruteForce, ::testing::Range(100U, 110U));

// Returns the smallest bottleneck without replicas on this number of devices, by trying every end
// of every stage.
std::int64_t best_of_all_ends(const RangeStages& stages, std::size_t devices) {
  const std::size_t count = stages.size() - 1;
  std::vector<std::int64_t> best(count + 1);
  for (std::size_t end = 1; end <= count; ++end) best[end] = stages.time_ns(0, end);
  for (std::size_t k = 2; k <= devices; ++k) {
    for (std::size_t end = count; end > 0; --end) {
      for (std::size_t begin = 1; begin < end; ++begin) {
        if (best[begin] < best[end])
          best[end] = std::min(best[end], std::max(best[begin], stages.time_ns(begin, end)));
      }
    }
  }
  return best[count];
}

// The chain is too long for tables of pairs of ideals, and its parameters do not fit.
TEST(OptimalChain, BottleneckEqualsBestOfAllStageEnds) {
  std::mt19937 random(7);
  testing::ModelBuilder b;
  auto x = b.input("x", {1, 6, 6, 64});
  for (int i = 0; i < 2010; ++i) {
    const std::string name = std::to_string(i);
    x = random() % 4 == 0 ? b.conv(x, name, static_cast<std::int32_t>(8 + random() % 100), 3)
                          : b.relu(x, name);
  }
  b.output(x);
  const Model model = b.build();
  const Graph graph(model);
  DeviceSpec device = find_device("edgetpu-pcie");
  device.timing.hop_ns.value = 0;  // the reference has no hops
  const SegmentCosts costs(graph, device);
  const auto stages = RangeStages::along(costs, graph.operators_between(1, graph.depth()), 5);
  ASSERT_TRUE(stages);
  for (const std::uint32_t devices : {2U, 5U}) {
    const auto found = segment_optimal(graph, device, devices, {.max_replicas = 1});
    EXPECT_EQ(found.bottleneck.count(), best_of_all_ends(*stages, devices));
    EXPECT_TRUE(found.bound.is_proven);
  }
}

}  // namespace
}  // namespace segue
