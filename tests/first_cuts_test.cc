// Tests the bound on the first stage of graphs that have too many ideals to list.
#include "planner/optimal/first_cuts.h"

#include <gtest/gtest.h>

#include <random>

#include "planner/optimal/min_cut.h"
#include "reference/random_device.h"
#include "reference/random_model.h"
#include "segue/planner.h"
#include "segue/zoo.h"

namespace segue {
namespace {

struct Edge {
  std::size_t from = 0;
  std::size_t to = 0;
  std::int64_t capacity = 0;
};

std::int64_t capacity_of(const std::vector<Edge>& edges, unsigned source_side) {
  std::int64_t sum = 0;
  for (const Edge& edge : edges) {
    if ((source_side >> edge.from & 1U) != 0 && (source_side >> edge.to & 1U) == 0)
      sum += edge.capacity;
  }
  return sum;
}

TEST(MinCut, CapacityEqualsCheapestOfAllCuts) {
  std::mt19937 random(5);
  for (int round = 0; round < 300; ++round) {
    const std::size_t nodes = 2 + random() % 7;
    std::vector<Edge> edges;
    MinCut network(nodes);
    for (std::size_t e = 0; e < random() % 20; ++e) {
      const Edge edge{random() % nodes, random() % nodes, static_cast<std::int64_t>(random() % 50)};
      edges.push_back(edge);
      network.add(edge.from, edge.to, edge.capacity);
    }
    std::int64_t cheapest = MinCut::kInfinite;
    for (unsigned others = 0; others < 1U << (nodes - 2); ++others)
      cheapest = std::min(cheapest, capacity_of(edges, others << 2U | 1U));
    EXPECT_EQ(network.solve(), cheapest) << "round " << round;
    unsigned side = 0;
    for (std::size_t node = 0; node < nodes; ++node)
      side |= network.is_on_source_side(node) ? 1U << node : 0U;
    EXPECT_EQ(side & 3U, 1U);
    EXPECT_EQ(capacity_of(edges, side), cheapest);
  }
}

// The bound holds for pipelines of two or more stages. It is compared with a search over all
// ideals, if a single stage is not the best.
TEST(FirstCuts, BoundIsBelowBestPipelineAndOftenTight) {
  std::mt19937 random(6);
  int met = 0;
  int checked = 0;
  for (int round = 0; round < 1200; ++round) {
    const Model model = testing::random_model(random, 3 + static_cast<int>(random() % 4));
    const Graph graph(model);
    DeviceSpec device = testing::random_device(random);
    device.memory.capacity_bytes.value = 1e7;  // streaming is not part of the bound
    // If computing dominates, several stages are better than one.
    device.timing.clock_hz.value = 5e6;
    device.timing.hop_ns.value = 0;
    const auto stages = static_cast<std::uint32_t>(2 + random() % 3);
    const auto best = segment_optimal(graph, device, stages, {.max_replicas = 1});
    if (best.segmentation.segments.size() < 2) continue;
    const auto known = static_cast<double>(best.bottleneck.count());
    const auto cuts = find_first_cuts(SegmentCosts(graph, device), stages, 2 * known, 500, false);
    if (!cuts) continue;
    ++checked;
    EXPECT_LE(cuts->least_ns, known + 5) << "round " << round;
    if (cuts->least_ns > known - 5) ++met;
  }
  EXPECT_GT(checked, 40);
  EXPECT_GT(met, checked / 5);
}

// The second input does not have to be in the first stage, so the bound does not hold.
TEST(FirstCuts, ModelsWithTwoInputsAreSkipped) {
  testing::ModelBuilder b;
  const auto first = b.relu(b.input("x", {1, 4}), "a");
  const auto second = b.relu(first, "b");
  b.output(b.relu(b.add(second, b.input("y", {1, 4}), "c"), "d"));
  const Model model = b.build();
  const Graph graph(model);
  EXPECT_FALSE(
      find_first_cuts(SegmentCosts(graph, find_device("edgetpu-pcie")), 2, 1e9, 100, false));
}

TEST(FirstCuts, CandidatesAreIdeals) {
  const Model model = open_model("zoo:mobilenetv2");
  const Graph graph(model);
  const DeviceSpec& device = find_device("edgetpu-pcie");
  const auto best = segment_optimal(graph, device, 2, {.max_replicas = 1});
  const auto known = static_cast<double>(best.bottleneck.count());
  const auto cuts = find_first_cuts(SegmentCosts(graph, device), 2, 1.05 * known, 500, false);
  ASSERT_TRUE(cuts);
  EXPECT_NEAR(cuts->least_ns, known, 5);
  EXPECT_FALSE(cuts->ideals.empty());
  for (const auto& ideal : cuts->ideals) {
    for (std::size_t op = 0; op < ideal.size(); ++op) {
      if (!ideal[op]) continue;
      for (const OperatorId writer : graph.writers(operator_id(op)))
        EXPECT_TRUE(ideal[index(writer)]);
    }
  }
}

}  // namespace
}  // namespace segue
