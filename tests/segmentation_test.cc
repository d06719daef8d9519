#include "segue/segmentation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "expect.h"
#include "model_builder.h"
#include "reference/all_cuts.h"
#include "reference/random_model.h"

namespace segue {
namespace {

using testing::expect_error;
using testing::for_all_cuts;
using testing::ModelBuilder;
using testing::operators;
using testing::TensorIndex;

// A device that caches operators in file order while they fit in `capacity` bytes.
class TinyDevice : public Compiler {
 public:
  explicit TinyDevice(std::uint64_t capacity) : capacity_(capacity) {}
  [[nodiscard]] MemoryReport compile(const Graph& graph,
                                     std::span<const OperatorId> ids) const override {
    MemoryReport report;
    report.capacity_bytes = capacity_;
    for (const OperatorId id : ids) {
      const std::uint64_t bytes = graph.stats(id).parameter_bytes;
      const bool fits = report.on_chip_bytes + bytes <= capacity_;
      (fits ? report.on_chip_bytes : report.host_bytes) += bytes;
    }
    return report;
  }

 private:
  std::uint64_t capacity_;
};

std::vector<Level> levels_of(const std::vector<std::uint64_t>& bytes) {
  std::vector<Level> levels;
  for (std::size_t i = 0; i < bytes.size(); ++i)
    levels.push_back({.depth = static_cast<std::uint32_t>(i + 1), .parameter_bytes = bytes[i]});
  return levels;
}

std::uint64_t largest_group(std::span<const Level> levels, const DepthCuts& cuts) {
  std::uint64_t largest = 0;
  std::uint64_t group = 0;
  for (const Level& level : levels) {
    group += level.parameter_bytes;
    largest = std::max(largest, group);
    if (std::ranges::binary_search(cuts, level.depth)) group = 0;
  }
  return largest;
}

std::uint64_t host_bytes(const Graph& graph, const DepthCuts& cuts, const Compiler& compiler) {
  std::uint64_t bytes = 0;
  for (const auto& segment : segment_at_depths(graph, cuts).segments)
    bytes += compiler.totals(graph, segment).host_bytes;
  return bytes;
}

// Returns the cuts of a segmentation of a chain.
DepthCuts cuts_of(const Graph& graph, const Segmentation& segmentation) {
  DepthCuts cuts;
  for (const auto& segment : segmentation.segments)
    cuts.push_back(graph.stats(segment.back()).depth);
  cuts.pop_back();
  return cuts;
}

TEST(BalanceDepths, EqualLevelsSplitEvenly) {
  const auto levels = levels_of({1, 2, 3, 3, 2, 1});
  EXPECT_EQ(balance_depths(levels, 2), DepthCuts{3});
  EXPECT_EQ(balance_depths(levels, 3), (DepthCuts{2, 3}));  // 3, 3, 6, as even as 6, 3, 3
  EXPECT_EQ(balance_depths(levels, 1), DepthCuts{});
  EXPECT_EQ(balance_depths(levels, 6), (DepthCuts{1, 2, 3, 4, 5}));
}

TEST(BalanceDepths, ParameterlessLevelsAreSpread) {
  const auto levels = levels_of({0, 0, 0, 0});
  EXPECT_EQ(balance_depths(levels, 4), (DepthCuts{1, 2, 3}));
}

TEST(BalanceDepths, CutsAreMostEvenOfOptimalOnes) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::uint64_t> bytes(2 + random() % 9);
    for (auto& level : bytes) level = random() % 12;
    const auto levels = levels_of(bytes);
    const std::size_t count = 1 + random() % levels.size();
    const auto squares = [&](const DepthCuts& cuts) {
      std::uint64_t sum = 0;
      std::uint64_t group = 0;
      for (const Level& level : levels) {
        group += level.parameter_bytes;
        if (level.depth < levels.size() && !std::ranges::binary_search(cuts, level.depth)) continue;
        sum += group * group;
        group = 0;
      }
      return sum;
    };
    std::pair<std::uint64_t, std::uint64_t> best{-1, -1};
    for_all_cuts(static_cast<std::uint32_t>(levels.size()), count, [&](const DepthCuts& cuts) {
      best = std::min(best, {largest_group(levels, cuts), squares(cuts)});
    });
    const DepthCuts cuts = balance_depths(levels, count);
    EXPECT_EQ(std::pair(largest_group(levels, cuts), squares(cuts)), best) << "round " << round;
  }
}

TEST(BalanceDepths, DeepModelIsFilledFromFront) {
  const auto levels = levels_of(std::vector<std::uint64_t>(100'000, 1));
  EXPECT_EQ(balance_depths(levels, 4), (DepthCuts{25'000, 50'000, 75'000}));
}

TEST(BalanceDepths, InvalidCountIsRefused) {
  const auto levels = levels_of({1, 2});
  expect_error(ErrorCode::kInvalidArgument, [&] { (void)balance_depths(levels, 0); });
  expect_error(ErrorCode::kInvalidArgument, [&] { (void)balance_depths(levels, 3); });
}

TEST(BalanceDepths, LargestGroupMatchesBestOfAllCuts) {
  std::mt19937 random(1);
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::uint64_t> bytes(random() % 9 + 1);
    for (auto& b : bytes) b = random() % 3 == 0 ? 0 : random() % 100;
    const auto levels = levels_of(bytes);
    const std::size_t count = random() % bytes.size() + 1;
    std::uint64_t best = ~std::uint64_t{0};
    for_all_cuts(static_cast<std::uint32_t>(bytes.size()), count, [&](const DepthCuts& cuts) {
      best = std::min(best, largest_group(levels, cuts));
    });
    const DepthCuts found = balance_depths(levels, count);
    ASSERT_EQ(found.size() + 1, count);
    ASSERT_EQ(largest_group(levels, found), best) << "round " << round;
  }
}

TEST(SegmentBalanced, NoStreamingKeepsBalancedCuts) {
  const Model model = testing::conv_chain({4, 4, 4, 4, 4, 4});
  const Graph graph(model);
  const auto result = segment_balanced(graph, 3, TinyDevice(1000));
  EXPECT_EQ(result.cuts, (DepthCuts{2, 4}));
  EXPECT_TRUE(result.moves.empty());
  EXPECT_EQ(result.host_bytes, 0U);
}

TEST(SegmentBalanced, StreamingIsRemovedWherePossible) {
  std::mt19937 random(2);
  int moved = 0;
  for (int round = 0; round < 300; ++round) {
    const Model model = testing::random_model(random, 8);
    const Graph graph(model);
    const std::size_t count = random() % std::min(4U, graph.depth()) + 1;
    const TinyDevice device(random() % 20000 + 2000);
    const auto result = segment_balanced(graph, count, device);
    std::uint64_t least = ~std::uint64_t{0};
    for_all_cuts(graph.depth(), count, [&](const DepthCuts& cuts) {
      least = std::min(least, host_bytes(graph, cuts, device));
    });
    if (least == 0) {
      EXPECT_EQ(result.host_bytes, 0U) << "round " << round;
    }
    EXPECT_GE(result.host_bytes, least);
    EXPECT_LE(result.host_bytes, result.initial_host_bytes);
    EXPECT_EQ(host_bytes(graph, result.cuts, device), result.host_bytes);
    moved += result.moves.empty() ? 0 : 1;
  }
  EXPECT_GT(moved, 20);
}

// Returns parameter bytes and host bytes of each segment.
std::vector<std::pair<std::uint64_t, std::uint64_t>> sizes_of(const Graph& graph,
                                                              const DepthCuts& cuts,
                                                              const Compiler& compiler) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> sizes;
  for (const auto& segment : segment_at_depths(graph, cuts).segments) {
    sizes.emplace_back(0, compiler.totals(graph, segment).host_bytes);
    for (const OperatorId id : segment) sizes.back().first += graph.stats(id).parameter_bytes;
  }
  return sizes;
}

TEST(SegmentBalanced, SearchFindsBestBalanceOfLeastBytes) {
  std::mt19937 random(5);
  int searched = 0;
  int above_ceiling = 0;
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::int32_t> filters(4 + random() % 4);
    for (auto& count : filters) count = static_cast<std::int32_t>(1 + random() % 40);
    const Model model = testing::conv_chain(filters);
    const Graph graph(model);
    const std::size_t count = 2 + random() % 3;
    const TinyDevice device(200 + random() % 2000);
    const auto result = segment_balanced(graph, count, device);
    if (result.moves.empty() || !result.moves.back().by_search) continue;
    ++searched;
    const DepthCuts vendor_cuts = cuts_of(graph, segment_as_vendor(graph, count));
    const std::uint64_t ceiling =
        std::max(result.bottleneck_bytes, largest_group(graph.levels(), vendor_cuts));
    std::uint64_t most_streamed = 0;
    for (const auto& [bytes, host] : sizes_of(graph, result.initial_cuts, device))
      most_streamed = std::max(most_streamed, host);
    std::pair<std::uint64_t, std::uint64_t> best{-1, -1};
    for_all_cuts(graph.depth(), count, [&](const DepthCuts& cuts) {
      for (const auto& [bytes, host] : sizes_of(graph, cuts, device)) {
        if (bytes > ceiling && host >= most_streamed) return;
      }
      best = std::min(best, {host_bytes(graph, cuts, device), largest_group(graph.levels(), cuts)});
    });
    const std::uint64_t largest = largest_group(graph.levels(), result.cuts);
    EXPECT_EQ(std::pair(result.host_bytes, largest), best) << "round " << round;
    above_ceiling += largest > ceiling && result.host_bytes > 0 ? 1 : 0;
  }
  EXPECT_GT(searched, 20);
  EXPECT_GT(above_ceiling, 5);
}

TEST(SegmentBalanced, MovesAreReportedAndNeverAddBytes) {
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    const Model model = testing::random_model(random, 10);
    const Graph graph(model);
    const std::size_t count = std::min(3U, graph.depth());
    const auto result = segment_balanced(graph, count, TinyDevice(random() % 20000));
    DepthCuts cuts = result.initial_cuts;
    std::uint64_t host = result.initial_host_bytes;
    for (const CutMove& move : result.moves) {
      EXPECT_EQ(cuts[move.cut], move.from_depth);
      EXPECT_LE(move.host_bytes_after, move.host_bytes_before);
      cuts[move.cut] = move.to_depth;
      host = std::min(host, move.host_bytes_after);
    }
    EXPECT_EQ(cuts, result.cuts);
    EXPECT_EQ(host, result.host_bytes);
  }
}

// Makes a chain of FULLY_CONNECTED operators that share one weight buffer, so that deep chains are
// small files.
Model deep_chain(std::uint32_t depth) {
  ModelBuilder b;
  TensorIndex x = b.dense(b.input("x", {1, 64}), "first", 64, false);
  for (std::uint32_t i = 1; i < depth; ++i) {
    const TensorIndex y = b.tensor("y" + std::to_string(i), {1, 64});
    b.op(tflite::BuiltinOperator::FULLY_CONNECTED, {x, 1, -1}, {y})
        .builtin_options.Set(tflite::FullyConnectedOptionsT{});
    x = y;
  }
  b.output(x);
  return b.build("deep");
}

class CountsVisits : public TinyDevice {
 public:
  using TinyDevice::TinyDevice;
  [[nodiscard]] MemoryReport compile(const Graph& graph,
                                     std::span<const OperatorId> ids) const override {
    visits_ += ids.size();
    return TinyDevice::compile(graph, ids);
  }
  [[nodiscard]] std::uint64_t visits() const { return visits_; }

 private:
  mutable std::uint64_t visits_ = 0;
};

TEST(SegmentBalanced, WorkOnDeepModelIsBounded) {
  constexpr std::uint32_t kDepth = 4000;
  constexpr std::uint64_t kOneMove = 4 * kDepth;  // two directions of a cut, two segments each
  const Model model = deep_chain(kDepth);
  const Graph graph(model);
  const std::uint64_t total = graph.parameter_bytes();
  for (const std::uint64_t capacity : {total / 4 - 1, total / 100}) {
    const CountsVisits device(capacity);
    const auto result = segment_balanced(graph, 4, device);
    EXPECT_LE(device.visits(), kMostRefinementVisits + kOneMove) << capacity;
    EXPECT_LE(result.host_bytes, result.initial_host_bytes);
    if (capacity < total / 4 - 1) continue;
    EXPECT_EQ(segment_balanced(graph, 4, CountsVisits(capacity)).cuts, result.cuts);
  }
}

TEST(Segmentations, OperatorsAreCoveredInOrder) {
  std::mt19937 random(4);
  for (int round = 0; round < 200; ++round) {
    const Model model = testing::random_model(random, 12);
    const Graph graph(model);
    for (std::size_t count = 1; count <= std::min(5U, graph.depth()); ++count) {
      EXPECT_NO_THROW(
          check_segmentation(graph, segment_balanced(graph, count, TinyDevice(9000)).segmentation));
      EXPECT_NO_THROW(check_segmentation(graph, segment_as_vendor(graph, count)));
    }
  }
}

TEST(CheckSegmentation, InvalidSegmentationNamesOperator) {
  const Model model = testing::conv_chain({4, 4, 4});
  const Graph graph(model);
  const auto refuses = [&](const std::vector<std::vector<OperatorId>>& segments,
                           const std::string& message) {
    expect_error(ErrorCode::kInvalidArgument, [&] { check_segmentation(graph, {segments}); },
                 {message});
  };
  EXPECT_NO_THROW(check_segmentation(graph, {{operators(0, 0), operators(1, 2)}}));
  refuses({}, "segment");
  refuses({operators(0, 2), {}}, "segment");
  refuses({operators(0, 1)}, "conv2");
  refuses({operators(0, 1), operators(1, 2)}, "conv1");
  refuses({operators(1, 2), operators(0, 0)}, "conv");
  refuses({operators(0, 3)}, "3");
}

TEST(Strategies, ImpossibleSegmentCountIsRefused) {
  const Model model = testing::conv_chain({4, 4});
  const Graph graph(model);
  expect_error(ErrorCode::kInfeasible, [&] { (void)segment_balanced(graph, 3, TinyDevice(1)); },
               {"3", "2"});
  expect_error(ErrorCode::kInfeasible, [&] { (void)segment_as_vendor(graph, 3); }, {"3", "2"});
  expect_error(ErrorCode::kInvalidArgument, [&] { (void)segment_as_vendor(graph, 0); });
  expect_error(ErrorCode::kInvalidArgument,
               [&] { (void)segment_balanced(graph, 0, TinyDevice(1)); });
}

//   x ─ a ─┬─ b ─ c ─┬─ sum
//          └─ d ─────┘
Model fork() {
  ModelBuilder b;
  const TensorIndex a = b.relu(b.input("x", {1, 4}), "a");
  const TensorIndex c = b.relu(b.relu(a, "b"), "c");
  b.output(b.add(c, b.relu(a, "d"), "sum"));
  return b.build();
}

TEST(SegmentAt, SegmentHoldsTensorAndDependencies) {
  const Model model = fork();
  const Graph graph(model);
  const auto segments = segment_at(graph, std::vector<std::string>{"c"}).segments;
  EXPECT_EQ(segments[0], operators(0, 2));
  EXPECT_EQ(segments[1], operators(3, 4));
}

TEST(SegmentAt, TensorOrderIsIrrelevant) {
  const Model model = fork();
  const Graph graph(model);
  EXPECT_EQ(segment_at(graph, std::vector<std::string>{"d", "a"}).segments,
            segment_at(graph, std::vector<std::string>{"a", "d"}).segments);
}

TEST(SegmentAt, UnknownTensorGetsSuggestion) {
  const Model model = testing::conv_chain({4, 4, 4});
  const Graph graph(model);
  expect_error(ErrorCode::kInvalidArgument,
               [&] { (void)segment_at(graph, std::vector<std::string>{"conv9"}); },
               {"'conv9'", "did you mean", "'conv0'"});
  expect_error(ErrorCode::kInvalidArgument,
               [&] { (void)segment_at(graph, std::vector<std::string>{"x"}); },
               {"input or a constant"});
  expect_error(ErrorCode::kInvalidArgument,
               [&] { (void)segment_at(graph, std::vector<std::string>{"conv2"}); },
               {"without operators"});
}

}  // namespace
}  // namespace segue
