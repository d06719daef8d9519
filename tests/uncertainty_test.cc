#include <gtest/gtest.h>

#include <cmath>

#include "expect.h"
#include "model_builder.h"
#include "segue/cost.h"
#include "segue/plan.h"
#include "segue/segmentation.h"
#include "segue/zoo.h"

namespace segue {
namespace {

using testing::expect_error;

struct Whole {
  explicit Whole(const std::string& name, const char* device_name = "edgetpu-pcie")
      : model(open_model("zoo:" + name)), graph(model), device(find_device(device_name)) {}
  [[nodiscard]] std::vector<OperatorId> operators() const {
    return graph.operators_between(1, graph.depth());
  }
  [[nodiscard]] SegmentTime time() const {
    return simulate_segment(graph, operators(),
                            make_simulated_compiler(device)->compile(graph, operators()), device);
  }
  [[nodiscard]] SegmentKind kind() const {
    return segment_kind(graph, operators(), time(), device);
  }
  [[nodiscard]] TimeRange range() const { return time_range(graph, operators(), time(), device); }

  Model model;
  Graph graph;
  DeviceSpec device;
};

Nanoseconds times(Nanoseconds time, double factor) {
  return Nanoseconds(std::llround(static_cast<double>(time.count()) * factor));
}

TEST(Uncertainty, SegmentKindFollowsLargestTimeShare) {
  EXPECT_EQ(Whole("vgg16").kind(), SegmentKind::kStreaming);
  EXPECT_EQ(Whole("conv5-f256").kind(), SegmentKind::kConvolutions);
  EXPECT_EQ(Whole("dense4-n256").kind(), SegmentKind::kDense);
  EXPECT_EQ(Whole("mobilenet").kind(), SegmentKind::kSmall);
}

TEST(Uncertainty, RangeIsTimeTimesKindFactors) {
  const Whole whole("conv5-f256");
  const ErrorFactors factors = error_factors(SegmentKind::kConvolutions, HostKnowledge::kTypical);
  EXPECT_EQ(whole.range().low, times(whole.time().total(), factors.low));
  EXPECT_EQ(whole.range().high, times(whole.time().total(), factors.high));
}

TEST(Uncertainty, HostIsUnknownUnlessStatedOrMeasured) {
  EXPECT_EQ(host_knowledge(find_device("edgetpu-usb3")), HostKnowledge::kTypical);
  for (const char* name : {"edgetpu-devboard", "edgetpu-usb3-pi4", "edgetpu-usb2"})
    EXPECT_EQ(host_knowledge(find_device(name)), HostKnowledge::kUnknown) << name;
  DeviceSpec device = find_device("edgetpu-devboard");
  device.calibration = Calibration{};
  EXPECT_EQ(host_knowledge(device), HostKnowledge::kMeasured);
}

TEST(Uncertainty, HostKnowledgeNarrowsRange) {
  for (const auto kind : {SegmentKind::kStreaming, SegmentKind::kConvolutions, SegmentKind::kDense,
                          SegmentKind::kSmall}) {
    const ErrorFactors measured = error_factors(kind, HostKnowledge::kMeasured);
    const ErrorFactors typical = error_factors(kind, HostKnowledge::kTypical);
    const ErrorFactors unknown = error_factors(kind, HostKnowledge::kUnknown);
    EXPECT_GE(measured.low, typical.low);
    EXPECT_LE(measured.high, typical.high);
    EXPECT_GE(typical.low, unknown.low);
    EXPECT_LE(typical.high, unknown.high);
    EXPECT_LE(measured.low, 1);
    EXPECT_GE(measured.high, 1);
  }
}

TEST(Uncertainty, CalibrationErrorWidensRange) {
  DeviceSpec device = find_device("edgetpu-usb3");
  device.calibration = Calibration{0.5, 3};
  EXPECT_EQ(error_factors(SegmentKind::kStreaming, device).low, 0.5);
  EXPECT_EQ(error_factors(SegmentKind::kStreaming, device).high, 3);
}

TEST(Uncertainty, UnknownHostRaisesUpperOutputTime) {
  Whole whole("conv5-f256");
  whole.device.is_host_unknown = true;
  const ErrorFactors factors = error_factors(SegmentKind::kConvolutions, HostKnowledge::kUnknown);
  const Nanoseconds share = host_share_of_output(whole.time(), whole.device);
  EXPECT_GT(share, Nanoseconds(0));
  EXPECT_NEAR(static_cast<double>(whole.range().high.count()),
              factors.high * static_cast<double>(whole.time().total().count()) +
                  factors.high * (kMostHostStretch - 1) * static_cast<double>(share.count()),
              2);
}

TEST(Uncertainty, LatencyRangeSumsStageRanges) {
  const Whole whole("conv5-f256");
  const DevicePool pool{whole.device, 3};
  const Plan plan = make_plan(whole.graph, segment_as_vendor(whole.graph, 3), std::span(&pool, 1),
                              Strategy::kCompiler, std::vector<PoolCounts>(3, PoolCounts{1}));
  TimeRange sum{3 * runner_hop(whole.device.timing), 3 * runner_hop(whole.device.timing)};
  for (const Stage& stage : plan.stages) {
    sum.low += stage.range->low;
    sum.high += stage.range->high;
  }
  EXPECT_EQ(plan.predicted.range->latency, sum);
}

// A busy host takes longer for its share of outputs only if it serves several devices.
TEST(Uncertainty, BusyHostWidensMultiDevicePeriod) {
  const Whole whole("conv5-f256");
  const auto period = [&](std::size_t count) {
    const DevicePool pool{whole.device, static_cast<std::uint32_t>(count)};
    return make_plan(whole.graph, segment_as_vendor(whole.graph, count), std::span(&pool, 1),
                     Strategy::kCompiler, std::vector<PoolCounts>(count, PoolCounts{1}));
  };
  EXPECT_EQ(period(1).predicted.range->bottleneck, period(1).stages[0].range);
  const Plan two = period(2);
  const auto high = [&](const Stage& stage) {
    const double factor = static_cast<double>(stage.range->high.count()) /
                          static_cast<double>(stage.time.total().count());
    return static_cast<double>(stage.range->high.count()) +
           factor * (kMostHostStretch - 1) *
               static_cast<double>(host_share_of_output(stage.time, whole.device).count());
  };
  EXPECT_NEAR(static_cast<double>(two.predicted.range->bottleneck.high.count()),
              std::max(high(two.stages[0]), high(two.stages[1])), 2);
  EXPECT_EQ(two.predicted.range->bottleneck.low,
            std::max(two.stages[0].range->low, two.stages[1].range->low));
}

TEST(Uncertainty, PlanWithoutRangesRoundTrips) {
  const Model model = testing::conv_chain({8, 8, 8, 8});
  const Graph graph(model);
  const auto compiler = make_simulated_compiler(find_device("edgetpu-pcie"));
  Plan plan = make_plan(graph, segment_as_vendor(graph, 2), *compiler, find_device("edgetpu-pcie"),
                        Strategy::kCompiler);
  identify_model(plan, model);
  Plan older = plan;
  older.predicted.range.reset();
  for (Stage& stage : older.stages) stage.range.reset();
  const Plan read = parse_plan(to_json(older), "plan");
  EXPECT_EQ(to_json(read), to_json(older));
  const DevicePool pool{find_device("edgetpu-pcie"), 2};
  EXPECT_EQ(to_json(evaluate_plan(read, graph, std::span(&pool, 1))), to_json(plan));
}

TEST(Uncertainty, RangeExcludingItsTimeIsRefused) {
  const Model model = testing::conv_chain({8, 8});
  const Graph graph(model);
  Plan plan = make_plan(graph, segment_as_vendor(graph, 1),
                        *make_simulated_compiler(find_device("edgetpu-pcie")),
                        find_device("edgetpu-pcie"), Strategy::kCompiler);
  identify_model(plan, model);
  plan.stages[0].range->low = plan.stages[0].time.total() + Nanoseconds(1);
  expect_error(ErrorCode::kInvalidArgument, [&] { (void)parse_plan(to_json(plan), "plan"); },
               {"stages[0].time_range_ns", "must include"});
}

TEST(Uncertainty, CommonEndpointIsOverlap) {
  const TimeRange first{Nanoseconds(1), Nanoseconds(4)};
  EXPECT_TRUE(overlap(first, {Nanoseconds(4), Nanoseconds(9)}));
  EXPECT_FALSE(overlap(first, {Nanoseconds(5), Nanoseconds(9)}));
}

}  // namespace
}  // namespace segue
