#include "segue/graph.h"

#include <gtest/gtest.h>

#include "model_builder.h"

namespace segue {
namespace {

using testing::ModelBuilder;
using testing::TensorIndex;

//   x ─ a ─┬─ b ─ c ─┬─ sum ─ y
//          └─────────┘
Model diamond() {
  ModelBuilder b;
  const TensorIndex a = b.conv(b.input("x", {1, 2, 2, 4}), "a", 8);
  const TensorIndex c = b.relu(b.conv(a, "b", 8), "c");
  b.output(b.relu(b.add(a, c, "sum"), "y"));
  return b.build();
}

std::vector<std::uint32_t> positions(std::span<const OperatorId> ids) {
  std::vector<std::uint32_t> result;
  for (const OperatorId id : ids) result.push_back(static_cast<std::uint32_t>(id));
  return result;
}

using Positions = std::vector<std::uint32_t>;

TEST(Graph, DepthIsLongestPathFromInput) {
  const Model model = diamond();
  const Graph graph(model);
  EXPECT_EQ(graph.depth(), 5U);
  for (std::uint32_t i = 0; i < 5; ++i) EXPECT_EQ(graph.stats(OperatorId{i}).depth, i + 1);
}

TEST(Graph, ConstantOnlyOperatorHasDepthOne) {
  ModelBuilder b;
  const TensorIndex x = b.input("x", {1, 4});
  const TensorIndex c = b.relu(b.constant("c", tflite::TensorType::INT8, {1, 4}), "computed");
  b.output(b.add(x, c, "y"));
  const Model model = b.build();
  const Graph graph(model);
  EXPECT_EQ(graph.stats(OperatorId{0}).depth, 1U);
  EXPECT_EQ(graph.stats(OperatorId{1}).depth, 2U);
}

TEST(Graph, ParametersAreConstantInputs) {
  const Model model = diamond();
  const Graph graph(model);
  EXPECT_EQ(graph.stats(OperatorId{0}).parameter_bytes, 8U * 4U + 8U * 4U);  // kernel, int32 bias
  EXPECT_EQ(graph.stats(OperatorId{3}).parameter_bytes, 0U);
  EXPECT_EQ(graph.parameter_bytes(), 64U + 8U * 8U + 8U * 4U);
}

TEST(Graph, ConvMacsCountMultiplications) {
  ModelBuilder b;
  const TensorIndex x = b.input("x", {1, 5, 7, 4});
  const TensorIndex a = b.conv(x, "a", 6, 3);
  b.output(b.depthwise(a, "b"));
  const Model model = b.build();
  const Graph graph(model);
  EXPECT_EQ(graph.stats(OperatorId{0}).macs, 5U * 7U * 6U * 3U * 3U * 4U);
  EXPECT_EQ(graph.stats(OperatorId{1}).macs, 5U * 7U * 6U * 3U * 3U);
}

TEST(Graph, DenseMacsEqualWeightCount) {
  ModelBuilder b;
  b.output(b.dense(b.input("x", {1, 40}), "y", 30));
  const Model model = b.build();
  EXPECT_EQ(Graph(model).macs(), 1200U);
}

TEST(Graph, CrossingTensorsIncludeSkips) {
  const Model model = diamond();
  const Graph graph(model);
  const std::uint64_t bytes = 2 * 2 * 8;
  EXPECT_EQ(graph.levels()[0].crossing_tensors, 1U);  // a
  EXPECT_EQ(graph.levels()[1].crossing_tensors, 2U);  // a, b
  EXPECT_EQ(graph.levels()[1].crossing_bytes, 2 * bytes);
  EXPECT_EQ(graph.levels()[2].crossing_tensors, 2U);  // a, c
  EXPECT_EQ(graph.levels()[3].crossing_tensors, 1U);  // sum
  EXPECT_EQ(graph.levels()[4].crossing_tensors, 0U);
  EXPECT_EQ(graph.crossing(2).size(), 2U);
}

TEST(Graph, LateModelInputCrossesEarlierCuts) {
  ModelBuilder b;
  const TensorIndex x = b.input("x", {1, 4});
  b.output(b.add(x, b.relu(b.relu(x, "a"), "b"), "y"));
  const Model model = b.build();
  const Graph graph(model);
  EXPECT_EQ(graph.levels()[0].crossing_tensors, 2U);
  EXPECT_EQ(graph.levels()[1].crossing_tensors, 2U);
}

TEST(Graph, ReadersAndWritersAreUnique) {
  ModelBuilder b;
  const TensorIndex a = b.relu(b.input("x", {1, 4}), "a");
  b.output(b.add(a, a, "twice"));
  const Model model = b.build();
  const Graph graph(model);
  EXPECT_EQ(positions(graph.readers(OperatorId{0})), Positions{1});
  EXPECT_EQ(positions(graph.writers(OperatorId{1})), Positions{0});
}

// The stack returns the last operator first; an operator without readers waits at the bottom.
//   x ─ a ─┬─ b ─ e
//          ├─ c (no reader, model output)
//          └─ d ─ f
TEST(Graph, VendorOrderIsDepthFirst) {
  ModelBuilder b;
  const TensorIndex a = b.relu(b.input("x", {1, 4}), "a");  // 0
  const TensorIndex left = b.relu(a, "b");                  // 1
  b.output(b.relu(a, "c"));                                 // 2
  const TensorIndex right = b.relu(a, "d");                 // 3
  const TensorIndex e = b.relu(left, "e");                  // 4
  const TensorIndex f = b.relu(right, "f");                 // 5
  b.output(b.add(e, f, "y"));                               // 6
  const Model model = b.build();
  EXPECT_EQ(positions(Graph(model).vendor_order()), (Positions{0, 3, 5, 1, 4, 2, 6}));
}

}  // namespace
}  // namespace segue
