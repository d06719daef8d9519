// Tests Google's rule on small graphs whose cuts were found by following libcoral's program, and
// against a second implementation that uses plain lists of edges.
#include <gtest/gtest.h>

#include <deque>
#include <numeric>
#include <optional>
#include <random>

#include "model_builder.h"
#include "segue/segmentation.h"
#include "segue/zoo.h"

namespace segue {
namespace {

using testing::ModelBuilder;
using testing::operators;
using testing::TensorIndex;

std::vector<std::size_t> sizes(const Model& model, std::size_t count) {
  std::vector<std::size_t> result;
  for (const auto& segment : segment_as_vendor(Graph(model), count).segments)
    result.push_back(segment.size());
  return result;
}

// Weights of 1x1 convolutions from Ci to Co channels with a bias take Co * (Ci + 4) bytes.
TEST(SegmentAsVendor, LastSegmentTakesTheRest) {
  // Convolutions 4 -> 4 have 4 * (4 + 4) = 32 bytes each, 160 in total. The average is 81.
  const Model model = testing::conv_chain({4, 4, 4, 4, 4});
  const auto segments = segment_as_vendor(Graph(model), 2).segments;
  EXPECT_EQ(segments[0], operators(0, 1));
  EXPECT_EQ(segments[1], operators(2, 4));
}

// Google's source uses total / count + 1, not the average itself.
TEST(SegmentAsVendor, SegmentMayExceedAverageByOneByte) {
  // Dense layers without bias have inputs x units bytes: 2, 3 and 3. The limit is 8 / 2 + 1 = 5.
  ModelBuilder b;
  const TensorIndex x = b.dense(b.input("x", {1, 2}), "a", 1, false);
  b.output(b.dense(b.dense(x, "b", 3, false), "c", 1, false));
  const Model model = b.build();
  const auto segments = segment_as_vendor(Graph(model), 2).segments;
  EXPECT_EQ(segments[0], operators(0, 1));
  EXPECT_EQ(segments[1], operators(2, 2));
}

TEST(SegmentAsVendor, HeavyOperatorGetsItsOwnSegment) {
  const Model model = testing::conv_chain({200, 4, 4, 4});
  const auto segments = segment_as_vendor(Graph(model), 4).segments;
  ASSERT_EQ(segments.size(), 4U);
  for (const auto& segment : segments) EXPECT_FALSE(segment.empty());
  EXPECT_EQ(segments[0], operators(0, 0));
}

// Google's compiler reports the on-chip parameter bytes of each segment, from which the layers
// follow. Source: Jorgitou98/EdgeTPU-QuantRL-Evaluation, CONV_MACs (2 and 4 segments).
TEST(SegmentAsVendor, FiveConvCutsMatchMeasured) {
  for (const int filters : {32, 102, 302, 442, 602, 702}) {
    const std::string name = "zoo:conv5-f" + std::to_string(filters);
    const Model model = open_model(name);
    const Graph graph(model);
    const auto sizes = [&](std::size_t count) {
      std::vector<std::size_t> result;
      for (const auto& segment : segment_as_vendor(graph, count).segments)
        result.push_back(segment.size());
      return result;
    };
    EXPECT_EQ(sizes(2), (std::vector<std::size_t>{2, 3})) << name;
    EXPECT_EQ(sizes(3), (std::vector<std::size_t>{2, 1, 2})) << name;
    EXPECT_EQ(sizes(4), (std::vector<std::size_t>{1, 1, 1, 2})) << name;
  }
}

// Dense layers 4 -> 4 without bias have 16 bytes each. A model output that is read inside ends no
// segment, because the first operator that nobody reads is the last one of the chain.
TEST(SegmentAsVendor, OutputReadInsideEndsNoSegment) {
  ModelBuilder b;
  TensorIndex x = b.input("x", {1, 4});
  for (int i = 0; i < 6; ++i) {
    x = b.dense(x, "d" + std::to_string(i), 4, false);
    if (i == 1 || i == 5) b.output(x);
  }
  const Model model = b.build();
  EXPECT_EQ(sizes(model, 2), (std::vector<std::size_t>{3, 3}));  // average 96 / 2 + 1 = 49
  EXPECT_EQ(sizes(model, 3), (std::vector<std::size_t>{2, 2, 2}));
}

// The dead operator is at the bottom of the stack, but still before the chain's last operator,
// which is put below it: order a, b, c, d, dead, e. The first two of three segments end before
// position 4, whatever the average.
//   x ─ a ─ b ─ c ─ d ─ e (model output)
//       └─ dead (neither read nor a model output)
TEST(SegmentAsVendor, UnreadOperatorEndsFirstSegments) {
  ModelBuilder b;
  const TensorIndex a = b.relu(b.input("x", {1, 4}), "a");
  (void)b.relu(a, "dead");
  b.output(b.dense(b.relu(b.relu(b.relu(a, "b"), "c"), "d"), "e", 400, false));
  const Model model = b.build();
  const auto segments = segment_as_vendor(Graph(model), 3).segments;
  EXPECT_EQ(segments[0], (std::vector<OperatorId>{OperatorId{0}, OperatorId{2}, OperatorId{3}}));
  EXPECT_EQ(segments[1], operators(4, 4));
  EXPECT_EQ(segments[2], (std::vector<OperatorId>{OperatorId{1}, OperatorId{5}}));
}

// Operators without a writer before them are in the stack in file order, whether they are read or
// not.
TEST(SegmentAsVendor, InputOnlyOperatorKeepsFileOrder) {
  ModelBuilder b;
  const TensorIndex x = b.input("x", {1, 4});
  const TensorIndex a = b.relu(x, "a");
  b.output(b.relu(x, "unread"));
  b.output(b.relu(b.relu(a, "b"), "c"));
  const Model model = b.build();
  const auto order = Graph(model).vendor_order();
  EXPECT_EQ(order,
            (std::vector<OperatorId>{OperatorId{1}, OperatorId{0}, OperatorId{2}, OperatorId{3}}));
}

struct PlainOperator {
  std::vector<std::int32_t> reads;
  std::vector<std::int32_t> writes;
  std::uint64_t bytes = 0;
};

std::vector<PlainOperator> plain(const Model& model) {
  std::vector<PlainOperator> result;
  for (const Operator& op : model.operators()) {
    PlainOperator& entry = result.emplace_back();
    entry.reads.assign(op.inputs.begin(), op.inputs.end());
    entry.writes.assign(op.outputs.begin(), op.outputs.end());
    for (const std::int32_t input : op.inputs) {
      if (input >= 0 && op.code != OpCode::kCustom)
        entry.bytes += model.tensor(TensorId{static_cast<std::uint32_t>(input)}).data.size();
    }
  }
  return result;
}

// Returns the edges from each operator, tensor by tensor, in the order in which the operator lists
// its outputs. libcoral uses the order of a hash table, which is not specified.
std::vector<std::vector<std::size_t>> edges_of(const std::vector<PlainOperator>& ops) {
  std::vector<std::vector<std::size_t>> edges(ops.size());
  for (std::size_t from = 0; from < ops.size(); ++from) {
    for (const std::int32_t tensor : ops[from].writes) {
      for (std::size_t to = 0; to < ops.size(); ++to) {
        for (const std::int32_t read : ops[to].reads) {
          if (read == tensor) edges[from].push_back(to);
        }
      }
    }
  }
  return edges;
}

std::vector<std::size_t> stack_order(const std::vector<std::vector<std::size_t>>& edges) {
  std::vector<std::size_t> open(edges.size());
  for (const auto& targets : edges) {
    for (const std::size_t to : targets) ++open[to];
  }
  std::vector<std::size_t> stack;
  for (std::size_t i = 0; i < open.size(); ++i) {
    if (open[i] == 0) stack.push_back(i);
  }
  std::vector<std::size_t> order;
  while (!stack.empty()) {
    order.push_back(stack.back());
    stack.pop_back();
    for (const std::size_t to : edges[order.back()]) {
      if (--open[to] == 0) stack.insert(edges[to].empty() ? stack.begin() : stack.end(), to);
    }
  }
  return order;
}

// Returns nothing if Google's program would end with a failed check: for an empty segment, or for
// more segments than there are operators up to the first one that nobody reads.
std::optional<std::vector<std::vector<OperatorId>>> cut_as_libcoral(const Model& model,
                                                                    std::size_t count) {
  const auto ops = plain(model);
  const auto edges = edges_of(ops);
  const auto order = stack_order(edges);
  std::uint64_t total = 0;
  for (const auto& op : ops) total += op.bytes;
  std::size_t unread = 0;
  while (!edges[order[unread]].empty()) ++unread;
  std::vector<std::vector<OperatorId>> segments(count);
  std::size_t next = 0;
  for (std::size_t left = count - 1; left > 0; --left) {
    if (unread < next + left) return std::nullopt;
    std::uint64_t size = 0;
    for (; next <= unread - left; ++next) {
      size += ops[order[next]].bytes;
      if (size > total / count + 1) break;
      segments[count - 1 - left].push_back(OperatorId{static_cast<std::uint32_t>(order[next])});
    }
    if (segments[count - 1 - left].empty()) return std::nullopt;
  }
  for (; next < order.size(); ++next)
    segments.back().push_back(OperatorId{static_cast<std::uint32_t>(order[next])});
  for (auto& segment : segments) std::ranges::sort(segment);
  return segments;
}

// Makes a random model with all cases that the rule distinguishes: operators with and without
// weights, custom ones, with two outputs, or read twice, outputs that are read inside, and tensors
// that are neither outputs nor read.
Model any_model(std::mt19937& random) {
  ModelBuilder b;
  std::vector<TensorIndex> tensors{b.input("x", {1, 4}), b.input("x2", {1, 4})};
  const std::size_t count = 3 + random() % 12;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string name = "t" + std::to_string(i);
    const TensorIndex x =
        tensors[tensors.size() - 1 - random() % std::min<std::size_t>(3, tensors.size())];
    switch (random() % 6) {
      case 0:
        tensors.push_back(b.relu(x, name));
        break;
      case 1:
        tensors.push_back(
            b.add(x, random() % 4 == 0 ? x : tensors[random() % tensors.size()], name));
        break;
      case 2: {
        const TensorIndex weights = b.constant(name + "w", tflite::TensorType::INT8, {40});
        tensors.push_back(b.tensor(name, {1, 4}));
        b.op(tflite::BuiltinOperator::CUSTOM, {x, weights}, {tensors.back()});
        break;
      }
      case 3: {
        const TensorIndex second = b.tensor(name + "b", {1, 4});
        tensors.push_back(b.tensor(name, {1, 4}));
        b.op(tflite::BuiltinOperator::UNPACK, {x}, {tensors.back(), second});
        tensors.push_back(second);
        break;
      }
      default:
        tensors.push_back(
            b.dense(b.dense(x, name + "m", static_cast<std::int32_t>(random() % 40 + 1)), name, 4));
    }
    if (random() % 4 == 0) b.output(tensors.back());
  }
  if (b.graph().outputs.empty() || b.graph().outputs.back() != tensors.back())
    b.output(tensors.back());
  return b.build("random");
}

TEST(SegmentAsVendor, RandomGraphsMatchReference) {
  std::mt19937 random(10);
  int compared = 0;
  for (int round = 0; round < 1000; ++round) {
    const Model model = any_model(random);
    for (std::size_t count = 2; count <= 4 && count <= model.operators().size(); ++count) {
      const auto expected = cut_as_libcoral(model, count);
      if (!expected) continue;
      ++compared;
      ASSERT_EQ(segment_as_vendor(Graph(model), count).segments, *expected)
          << "round " << round << ", " << count << " segments";
    }
  }
  EXPECT_GT(compared, 500);
}

}  // namespace
}  // namespace segue
