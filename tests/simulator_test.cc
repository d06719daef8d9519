#include <gtest/gtest.h>

#include <random>

#include "device/edgetpu/internal/segment_sum.h"
#include "expect.h"
#include "model_builder.h"
#include "planner/optimal/range_stages.h"
#include "reference/random_model.h"
#include "segue/cost.h"
#include "segue/plan.h"
#include "segue/segmentation.h"
#include "segue/timeline.h"
#include "segue/zoo.h"

namespace segue {
namespace {

using testing::ModelBuilder;
using testing::operators;

const DeviceSpec& pcie() { return find_device("edgetpu-pcie"); }

std::vector<OperatorId> all_of(const Model& model) {
  return operators(0, static_cast<std::uint32_t>(model.operators().size() - 1));
}

SegmentTime time_of(const Graph& graph, const std::vector<OperatorId>& ids,
                    const DeviceSpec& device) {
  return simulate_segment(graph, ids, make_simulated_compiler(device)->compile(graph, ids), device);
}

SegmentTime time_of(const Model& model, const DeviceSpec& device = pcie()) {
  const Graph graph(model);
  return time_of(graph, all_of(model), device);
}

std::uint64_t cycles(ModelBuilder& b) {
  const Model model = b.build();
  return operator_work(model, operator_id(model.operators().size() - 1), pcie()).cycles;
}

constexpr std::uint64_t kStart = 1500;  // fixed cycles of every operator

// A map of 64x64 in 4x4 tiles gives 16x16 = 256 pixels to each tile.
TEST(OperatorWork, ConvRunsIn64By4BlocksPerTap) {
  ModelBuilder b;
  b.output(b.conv(b.input("x", {1, 64, 64, 6}), "y", 65, 3));
  // 65 outputs are 2 groups of 64, and 6 inputs are 2 groups of 4. 68 of 18x18 pixels come from
  // other tiles.
  EXPECT_EQ(cycles(b), 256U * 2 * 2 * 9 + 3 * 68 * 2 / 2 + kStart);
}

TEST(OperatorWork, PartialTileCostsAWholeOne) {
  ModelBuilder b;
  b.output(b.conv(b.input("x", {1, 9, 5, 4}), "y", 8, 1));
  EXPECT_EQ(cycles(b), 3U * 2 + kStart);  // 9 rows: 3 per tile; 5 columns: 2
}

TEST(OperatorWork, DepthwiseReads4ChannelWordPerTap) {
  ModelBuilder b;
  b.output(b.depthwise(b.input("x", {1, 8, 8, 96}), "y"));
  const Model model = b.build();
  const std::uint64_t taps = model.window(OperatorId{0}).height * model.window(OperatorId{0}).width;
  EXPECT_EQ(cycles(b), 3 * (4 * 24 * taps) / 2 + kStart);
}

TEST(OperatorWork, DenseRunsInOneTile) {
  ModelBuilder b;
  b.output(b.dense(b.input("x", {1, 100}), "y", 130));
  EXPECT_EQ(cycles(b), 3U * 25 + kStart);
}

TEST(OperatorWork, AddReadsSecondOperand) {
  ModelBuilder b;
  const auto x = b.input("x", {1, 8, 8, 65});
  b.output(b.add(x, x, "y"));
  EXPECT_EQ(cycles(b), 4U * 17 + kStart);
}

std::uint64_t product_cycles(const std::vector<std::int32_t>& second) {
  ModelBuilder b;
  const auto y = b.tensor("y", {1, 8, 8, 65});
  b.op(tflite::BuiltinOperator::MUL, {b.input("x", {1, 8, 8, 65}), b.input("s", second)}, {y});
  b.output(y);
  return cycles(b);
}

// SiLU multiplies a map by its LOGISTIC; squeeze-and-excitation multiplies one by a pixel.
TEST(OperatorWork, ProductOfMapsTakes24CyclesAWord) {
  EXPECT_EQ(product_cycles({1, 8, 8, 65}), 24 * 4U * 17 + kStart);
  EXPECT_EQ(product_cycles({1, 1, 1, 65}), 4U * 17 + kStart);
}

TEST(OperatorWork, ReshapeIsFree) {
  ModelBuilder b;
  const auto x = b.input("x", {1, 2, 2, 4});
  const auto y = b.tensor("y", {1, 16});
  b.op(tflite::BuiltinOperator::RESHAPE, {x}, {y});
  b.output(y);
  EXPECT_EQ(cycles(b), 0U);
}

// These are the steps of the measured sweep: one crossing while a map fits its tiles, three from
// 339 filters on, five from 642 and seven from 722.
TEST(OperatorWork, LargerMapsNeedMoreWeightCrossings) {
  const auto crossings = [](int filters) {
    const Model model = open_model("zoo:conv5-f" + std::to_string(filters));
    return operator_work(model, OperatorId{4}, pcie()).crossings;
  };
  EXPECT_EQ(crossings(332), 1U);
  EXPECT_EQ(crossings(452), 3U);
  EXPECT_EQ(crossings(632), 3U);
  EXPECT_EQ(crossings(642), 5U);
  EXPECT_EQ(crossings(712), 5U);
  EXPECT_EQ(crossings(722), 7U);
}

TEST(OperatorWork, CrossingsAreBoundedForLargeMaps) {
  ModelBuilder b;
  b.output(b.conv(b.input("x", {1, 4096, 4096, 64}), "y", 64, 3));
  const Model model = b.build();
  EXPECT_EQ(operator_work(model, OperatorId{0}, pcie()).crossings, 19U);
}

// Computed by hand, each of four layers of conv5-f442 takes 256 pixels * 9 taps * 7 groups of
// outputs * 111 groups of inputs. The first layer has one group of inputs.
TEST(SimulateSegment, Conv5TimesMatchHandCalculation) {
  const SegmentTime time = time_of(open_model("zoo:conv5-f442"));
  const std::uint64_t inner = 256U * 9 * 7 * 111 + 3 * 68 * 111 / 2 + kStart;
  const std::uint64_t first = 256U * 9 * 7 + 3 * 68 / 2 + kStart;
  EXPECT_EQ(time.cycles, first + 4 * inner);
  EXPECT_NEAR(to_ms(time.compute), static_cast<double>(first + 4 * inner) / 250e3, 1e-3);
  EXPECT_NEAR(to_ms(time.input), 12288 * (1 / 390e3 + 0.25e-6), 1e-4);
  const double output_bytes = 64.0 * 64 * 444;  // channels are padded to 4
  EXPECT_NEAR(to_ms(time.output), output_bytes * (1 / 390e3 + 3.8e-6), 1e-3);
  EXPECT_EQ(time.streaming.count(), 0);
}

TEST(SimulateSegment, FastLinkHidesStreaming) {
  // With a capacity of 2 bytes, everything streams. The map is small, so weights cross the link
  // once.
  DeviceSpec device = pcie();
  device.memory.capacity_bytes.value = 2;
  device.timing.link_bytes_per_s.value = 1e7;
  const Model model = testing::conv_chain({64});
  const SegmentTime slow_link = time_of(model, device);
  EXPECT_GT(slow_link.streaming.count(), 0);
  device.timing.link_bytes_per_s.value = 1e12;
  EXPECT_EQ(time_of(model, device).streaming.count(), 0);
}

TEST(SimulateSegment, ReportWithoutOperatorsStreamsOnce) {
  const Model model = testing::conv_chain({8, 8});
  const Graph graph(model);
  MemoryReport report;
  report.host_bytes = 390'000;
  EXPECT_NEAR(to_ms(simulate_segment(graph, all_of(model), report, pcie()).streaming), 1, 1e-3);
}

TEST(SimulateSegment, HostOperatorsAreTimed) {
  ModelBuilder b;
  const auto x = b.input("x", {1, 4, 4, 4});
  const auto middle = b.conv(x, "middle", 8);
  const auto y = b.tensor("y", {1, 4, 4, 8});
  b.op(tflite::BuiltinOperator::FLOOR, {middle}, {y});
  b.output(b.relu(y, "z"));  // behind the host's operator, so on the host too
  const SegmentTime time = time_of(b.build());
  EXPECT_EQ(time.host_operators, 2U);
  EXPECT_GT(time.compute.count(), 0);
  // Each of the two operators takes its fixed time and that of 128 elements.
  const HostCompute& host = pcie().host;
  const double expected = 2 * (host.operator_ns.value + 128 * host.element_ns.value);
  EXPECT_NEAR(static_cast<double>(time.host.count()), expected, 2);
  EXPECT_EQ(time.total(), time.fixed + time.input + time.compute + time.output + time.host);
}

TEST(SimulateSegment, LeadingHostOperatorKeepsRestOnTpu) {
  ModelBuilder b;
  const auto x = b.input("x", {1, 4, 4, 4});
  const auto y = b.tensor("y", {1, 4, 4, 4});
  b.op(tflite::BuiltinOperator::FLOOR, {x}, {y});
  b.output(b.conv(y, "z", 8));
  EXPECT_EQ(time_of(b.build()).host_operators, 1U);
}

class SimulatorLaws : public ::testing::TestWithParam<const char*> {};

// More cache always means fewer streamed bytes. It may still take more time, because the compiler's
// greedy order may then stream a layer that crosses the link more often (docs/cost-model.md). With
// the usual sizes it takes less time.
TEST_P(SimulatorLaws, FasterLinkClockOrCacheIsNeverSlower) {
  const Model model = open_model(GetParam());
  const Graph graph(model);
  const Nanoseconds base = time_of(graph, all_of(model), pcie()).total();
  for (const double factor : {1.5, 2.0, 10.0}) {
    for (Constant Timing::*rate : {&Timing::clock_hz, &Timing::link_bytes_per_s}) {
      DeviceSpec device = pcie();
      (device.timing.*rate).value *= factor;
      EXPECT_LE(time_of(graph, all_of(model), device).total(), base) << factor;
    }
    DeviceSpec device = pcie();
    device.memory.capacity_bytes.value *= factor;
    EXPECT_LE(time_of(graph, all_of(model), device).total(), base) << factor;
  }
}

TEST_P(SimulatorLaws, FasterDeviceNeverSlowsRandomSegments) {
  const Model model = open_model(GetParam());
  const Graph graph(model);
  std::mt19937 random(23);
  for (int round = 0; round < 30; ++round) {
    const auto last = static_cast<std::uint32_t>(model.operators().size() - 1);
    const auto first = static_cast<std::uint32_t>(random() % (last + 1));
    const auto ids =
        operators(first, first + static_cast<std::uint32_t>(random() % (last - first + 1)));
    DeviceSpec device = device_catalogue()[random() % device_catalogue().size()];
    if (random() % 2 == 0)
      device.memory.capacity_bytes.value = static_cast<double>(random() % 2'000'000);
    for (Constant Timing::*rate : {&Timing::clock_hz, &Timing::link_bytes_per_s}) {
      DeviceSpec faster = device;
      Nanoseconds before = time_of(graph, ids, device).total();
      for (int step = 0; step < 6; ++step) {
        (faster.timing.*rate).value *= 1.3;
        const Nanoseconds now = time_of(graph, ids, faster).total();
        EXPECT_LE(now, before + Nanoseconds(3)) << device.name << " " << first;  // rounding
        before = now;
      }
    }
  }
}

TEST_P(SimulatorLaws, MoreCacheNeverStreamsMoreBytes) {
  const Model model = open_model(GetParam());
  const Graph graph(model);
  std::uint64_t before = ~std::uint64_t{0};
  for (double mib = 0; mib < 12; mib += 0.37) {
    DeviceSpec device = pcie();
    device.memory.capacity_bytes.value = mib * 1024 * 1024;
    const MemoryReport report = make_simulated_compiler(device)->compile(graph, all_of(model));
    std::uint64_t cached = 0;
    for (const OperatorId id : all_of(model))
      cached += parameter_footprint(model, id, device).bytes;
    const std::uint64_t not_cached = cached - report.on_chip_bytes;
    EXPECT_LE(not_cached, before) << mib << " MiB";
    before = not_cached;
  }
}

TEST_P(SimulatorLaws, PlanBottleneckMatchesTimeline) {
  const Model model = open_model(GetParam());
  const Graph graph(model);
  for (const char* device : {"edgetpu-pcie", "edgetpu-pcie-busy"}) {
    for (const std::size_t count : {1, 2, 3, 5}) {
      const DevicePool pool{find_device(device), static_cast<std::uint32_t>(count)};
      const Plan plan =
          make_plan(graph, segment_as_vendor(graph, count), {&pool, 1}, Strategy::kCompiler,
                    std::vector<PoolCounts>(count, PoolCounts{1}));
      TimelineOptions options = timeline_options(plan, {&pool, 1});
      options.inputs = 400;
      const double pace = to_ms(simulate_timeline(stage_loads(plan), options).steady_period());
      EXPECT_NEAR(pace, to_ms(plan.predicted.bottleneck), 0.05 * pace) << device << ' ' << count;
    }
  }
}

TEST(SimulateSegment, HugeWindowGivesBoundedTime) {
  ModelBuilder b;
  const auto x = b.input("x", {1, 8, 8, 4});
  const auto y = b.tensor("y", {1, 8, 8, 4});
  auto& op = b.op(tflite::BuiltinOperator::MAX_POOL_2D, {x}, {y});
  tflite::Pool2DOptionsT options;
  options.filter_height = options.filter_width = 2'147'483'647;
  options.stride_h = options.stride_w = 1;
  op.builtin_options.Set(options);
  b.output(y);
  const SegmentTime time = time_of(b.build());
  EXPECT_GT(time.total().count(), 0);
  EXPECT_LE(time.compute, std::chrono::hours(3));
}

TEST(SimulateSegment, TimesSaturateBeforeOverflow) {
  SegmentSum sum;
  for (int i = 0; i < 2'000'000; ++i) sum.add({to_whole_ns(1e300), to_whole_ns(1e300)});
  const SegmentTime time = sum.time(pcie().timing);
  EXPECT_EQ(time.streaming.count(), static_cast<std::int64_t>(kLongestNs));
  EXPECT_EQ(time.hidden_streaming.count(), static_cast<std::int64_t>(kLongestNs));
  EXPECT_GT(1024 * time.total().count(), 0);
}

TEST_P(SimulatorLaws, SplitConservesCycles) {
  const Model model = open_model(GetParam());
  const Graph graph(model);
  const auto last = static_cast<std::uint32_t>(model.operators().size() - 1);
  const std::uint64_t whole = time_of(graph, all_of(model), pcie()).cycles;
  std::mt19937 random(3);
  for (int round = 0; round < 20; ++round) {
    const auto cut = static_cast<std::uint32_t>(random() % last);
    EXPECT_EQ(time_of(graph, operators(0, cut), pcie()).cycles +
                  time_of(graph, operators(cut + 1, last), pcie()).cycles,
              whole);
  }
}

TEST_P(SimulatorLaws, RangeCostsEqualSegmentsAlone) {
  const Model model = open_model(GetParam());
  const Graph graph(model);
  const SegmentCosts costs(graph, pcie());
  const auto stages = RangeStages::along(costs, all_of(model), 2);
  ASSERT_TRUE(stages);
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    const std::size_t begin = random() % (stages->size() - 1);
    const std::size_t end = begin + 1 + random() % (stages->size() - 1 - begin);
    EXPECT_EQ(stages->time_ns(begin, end),
              time_of(graph, stages->operators(begin, end), pcie()).total().count())
        << begin << ".." << end;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, SimulatorLaws,
                         ::testing::Values("zoo:resnet50", "zoo:resnet101v2", "zoo:densenet121",
                                           "zoo:inceptionv3", "zoo:mobilenetv2", "zoo:xception",
                                           "zoo:conv5-f602", "zoo:dense4-n2100"),
                         [](const auto& row) {
                           std::string name = std::string(row.param).substr(4);
                           std::erase(name, '-');
                           return name;
                         });

TEST(TeraOperations, MacCountsAsTwoOperations) {
  EXPECT_DOUBLE_EQ(tera_operations_per_s(2'000'000'000, std::chrono::milliseconds(4)), 1.0);
  EXPECT_EQ(tera_operations_per_s(5, Nanoseconds(0)), 0);
}

// These files are valid, although an optional input is absent or a list is empty.
TEST(OperatorWork, MissingInputsDoNotCrash) {
  for (const auto code : {tflite::BuiltinOperator::UNIDIRECTIONAL_SEQUENCE_LSTM,
                          tflite::BuiltinOperator::TRANSPOSE_CONV, tflite::BuiltinOperator::CONV_2D,
                          tflite::BuiltinOperator::MEAN, tflite::BuiltinOperator::PAD}) {
    for (const int kind : {0, 1, 2}) {
      testing::ModelBuilder b;
      const auto x = b.input("x", {1, 4, 4, 4});
      const auto weights = b.constant("w", tflite::TensorType::INT8, {4, 1, 1, 4});
      const auto y = b.tensor("y", {1, 4, 4, 4});
      std::vector<testing::TensorIndex> inputs;
      if (kind == 1) inputs = {-1, weights};
      if (kind == 2) inputs = {x, weights, -1};
      b.op(code, inputs, {y});
      b.output(y);
      const Model model = b.build();
      EXPECT_GE(operator_work(model, OperatorId{0}, find_device("edgetpu-pcie")).cycles, 0U);
      const Graph graph(model);
      const auto compiler = make_simulated_compiler(find_device("edgetpu-pcie"));
      EXPECT_NO_THROW((void)compiler->compile(graph, std::vector{OperatorId{0}}));
    }
  }
}

}  // namespace
}  // namespace segue
