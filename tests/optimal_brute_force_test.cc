// The planner against every pipeline there is, on thousands of random graphs of up to 12 operators.
#include <gtest/gtest.h>

#include <random>

#include "reference/best_pipeline.h"
#include "reference/random_device.h"
#include "reference/random_model.h"
#include "segue/optimal.h"

namespace segue {
namespace {

using testing::BestPipeline;
using testing::random_device;

constexpr std::size_t kMostOperators = 12;
// Beyond, trying every chain of four cuts takes minutes.
constexpr std::size_t kMostIdeals = 150;

class BruteForce : public ::testing::TestWithParam<unsigned> {};

TEST_P(BruteForce, PureAndReplicatedPipelinesOnOneToFiveEqualDevices) {
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

TEST_P(BruteForce, UnequalDevices) {
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

}  // namespace
}  // namespace segue
