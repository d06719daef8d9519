// Decoding of detectors as a stage of the host: its time, and plans, timelines and proofs that
// include it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <random>

#include "detectors.h"
#include "expect.h"
#include "reference/all_cuts.h"
#include "reference/random_device.h"
#include "reference/random_model.h"
#include "segue/planner.h"
#include "segue/report.h"
#include "segue/segmentation.h"
#include "segue/timeline.h"
#include "segue/zoo.h"

namespace segue {
namespace {

using testing::detector_of;
using testing::expect_error;
using ::testing::HasSubstr;

constexpr DecodingWork kWork{DetectorFamily::kYolov8, 8400, 672'000};

PlanRequest request_on(const std::string& device, std::uint32_t count) {
  return {.pools = open_devices(device, count)};
}

PlanRequest decoding_request(const std::string& device, std::uint32_t count,
                             const DecodingWork& work = kWork) {
  PlanRequest request = request_on(device, count);
  request.decoding = work;
  return request;
}

// Decoding that takes longer than any stage of small models.
constexpr DecodingWork slow_decoding() { return {DetectorFamily::kYolov8, 84'000'000, 84'000'000}; }

TEST(Decoding, TimeIsOfWorkAndHost) {
  const auto desktop = open_devices("edgetpu-usb3", 2);
  const auto pi = open_devices("edgetpu-usb3-pi4", 2);
  const Decoding on_desktop = decoding_on(kWork, desktop);
  const Decoding on_pi = decoding_on(kWork, pi);
  EXPECT_EQ(on_desktop.work, kWork);
  const double slowdown = pi[0].device.timing.host_slowdown.value;
  EXPECT_GT(slowdown, 1);
  EXPECT_NEAR(static_cast<double>(on_pi.time.count()),
              slowdown * static_cast<double>(on_desktop.time.count()), 1);
  EXPECT_EQ(decoding_on(kWork, std::vector{desktop[0], pi[0]}), on_pi);  // the slowest host
  EXPECT_NEAR(static_cast<double>(on_pi.range.low.count()),
              kHostOperatorFactors.low * static_cast<double>(on_pi.time.count()), 1);
  EXPECT_NEAR(static_cast<double>(on_pi.range.high.count()),
              kHostOperatorFactors.high * static_cast<double>(on_pi.time.count()), 1);
  DecodingWork more = kWork;
  more.scores *= 2;
  EXPECT_GT(decoding_on(more, desktop).time, on_desktop.time);
  expect_error(ErrorCode::kInvalidArgument, [] { (void)decoding_on(kWork, {}); }, {"no device"});
}

TEST(DetectorFamilies, KeysAndNamesAreRead) {
  for (const DetectorFamilyName& of : kDetectorFamilies) {
    EXPECT_EQ(parse_detector_family(of.key), of.family);
    EXPECT_EQ(parse_detector_family(of.name), of.family);
    EXPECT_EQ(to_string(of.family), of.name);
  }
  expect_error(ErrorCode::kInvalidArgument, [] { (void)parse_detector_family("yolo"); },
               {"'yolo'", "post-processed, ssd, efficientdet, yolov5, yolov8"});
}

TEST(DecodingWork, HasRowsAndScoresOfTheOutputs) {
  using Work = DecodingWork;
  using Family = DetectorFamily;
  EXPECT_EQ(detector_of({{"o", {1, 84, 8400}}}, {}, 640).work(),
            (Work{Family::kYolov8, 8400, 8400 * 80}));
  EXPECT_EQ(detector_of({{"o", {1, 25200, 85}}}, {}, 640).work(),
            (Work{Family::kYolov5, 25200, 25200 * 80}));
  EXPECT_EQ(detector_of({{"b", {1, 1917, 4}}, {"s", {1, 1917, 91}}}, {}, 300).work(),
            (Work{Family::kSsd, 1917, 1917 * 90}));  // without the background
  EXPECT_EQ(detector_of({{"b", {1, 19206, 4}}, {"s", {1, 19206, 90}}}, {}, 320).work(),
            (Work{Family::kEfficientDet, 19206, 19206 * 90}));
}

TEST(PlanDecoding, IsTheLastStageOfEveryInput) {
  const Model model = open_model("zoo:conv5-f702");
  const Graph graph(model);
  const auto pools = open_devices("edgetpu-usb3", 3);
  const Plan plain = plan_model(graph, request_on("edgetpu-usb3", 3)).plan;
  const Nanoseconds time = decoding_on(kWork, pools).time;
  ASSERT_LT(time, plain.predicted.bottleneck);
  const Plan fast = with_decoding(plain, kWork, pools);
  EXPECT_EQ(fast.predicted.bottleneck, plain.predicted.bottleneck);
  EXPECT_EQ(fast.predicted.latency, plain.predicted.latency + time);
  EXPECT_EQ(fast.predicted.single_device, plain.predicted.single_device);
  EXPECT_EQ(fast.bound->value, plain.bound->value);
  const Plan slow = with_decoding(plain, slow_decoding(), pools);
  const Decoding& decoding = *slow.decoding;
  EXPECT_EQ(slow.predicted.bottleneck, decoding.time);
  EXPECT_EQ(slow.predicted.latency, plain.predicted.latency + decoding.time);
  EXPECT_EQ(slow.predicted.range->bottleneck.low, decoding.range.low);
  EXPECT_EQ(slow.predicted.range->bottleneck.high, decoding.range.high);
  EXPECT_EQ(slow.bound->value, decoding.time);
  EXPECT_TRUE(slow.bound->is_proven);
  const Plan without = without_decoding(slow, pools);
  EXPECT_EQ(without.predicted.bottleneck, plain.predicted.bottleneck);
  EXPECT_EQ(without.predicted.latency, plain.predicted.latency);
  EXPECT_EQ(without.predicted.range, plain.predicted.range);
  EXPECT_FALSE(without.bound || without.decoding);
  const Plan replaced = with_decoding(fast, slow_decoding(), pools);
  EXPECT_EQ(replaced.predicted.latency, slow.predicted.latency);
}

TEST(PlanDecoding, OverlapsWithTheDevices) {
  const Model model = open_model("zoo:conv5-f702");
  const Graph graph(model);
  for (const DecodingWork& work : {kWork, slow_decoding()}) {
    const PlanRequest request = decoding_request("edgetpu-pcie", 3, work);
    const Plan plan = plan_model(graph, request).plan;
    TimelineOptions options = timeline_options(plan, request.pools);
    options.inputs = 20;
    options.records_events = true;
    const auto loads = stage_loads(plan);
    ASSERT_EQ(loads.size(), plan.stages.size() + 1);
    const Timeline timeline = simulate_timeline(loads, options);
    EXPECT_EQ(timeline.latencies[0], plan.predicted.latency);
    EXPECT_EQ(timeline.steady_period(), plan.predicted.bottleneck);
    EXPECT_LE(timeline.makespan, plan.predicted.latency + 19 * plan.predicted.bottleneck);
    const auto last = static_cast<std::uint32_t>(plan.stages.size());
    for (const TimelineEvent& event : timeline.events) {
      if (event.stage == last) {
        EXPECT_EQ(event.activity, Activity::kHostWork);
        EXPECT_EQ(event.end - event.begin, plan.decoding->time);
      }
    }
  }
}

// Decoding is not a device: a plan on one TPU has no hop, and no shared link can contain decoding.
TEST(PlanDecoding, UsesNoDevice) {
  const Model model = open_model("zoo:conv5-f32");
  const Graph graph(model);
  const PlanRequest request = decoding_request("edgetpu-pcie", 1);
  const Plan plan = plan_model(graph, request).plan;
  const Plan plain = plan_model(graph, request_on("edgetpu-pcie", 1)).plan;
  EXPECT_EQ(plan.device_count(), 1U);
  EXPECT_EQ(plan.predicted.latency, plain.predicted.latency + plan.decoding->time);
  TimelineOptions options = timeline_options(plan, request.pools);
  EXPECT_EQ(options.hop.count(), 0);
  EXPECT_EQ(simulate_timeline(stage_loads(plan), options).latencies[0], plan.predicted.latency);
  options.shared = {{{0, 1}}};
  expect_error(ErrorCode::kInvalidArgument,
               [&] { (void)simulate_timeline(stage_loads(plan), options); },
               {"device 1", "has 1 devices (0 to 0)"});
}

// Compares with every choice of horizontal cuts, each with decoding.
TEST(PlanDecoding, OptimalPlanIsTheBestOfAll) {
  std::mt19937 random(5);
  for (int round = 0; round < 30; ++round) {
    const Model model = testing::random_model(random, 2 + static_cast<int>(random() % 4));
    const Graph graph(model);
    PlanRequest request{.pools = {{testing::random_device(random), 3, false}}};
    request.limits.objective = round % 2 == 0 ? Objective::kThroughput : Objective::kLatency;
    const Plan plain = plan_model(graph, request).plan;
    // Decoding takes from nothing to more than the slowest stage.
    const double target = static_cast<double>(plain.predicted.bottleneck.count()) *
                          static_cast<double>(round % 5) / 3;
    const auto boxes = static_cast<std::uint64_t>(std::max(0.0, target - 15e3) / 6);
    request.decoding = DecodingWork{DetectorFamily::kYolov8, boxes, 0};
    const Plan plan = plan_model(graph, request).plan;
    ASSERT_TRUE(plan.bound && plan.decoding);
    const auto goal = [&](const Plan& of) {
      return request.limits.objective == Objective::kLatency ? of.predicted.latency
                                                             : of.predicted.bottleneck;
    };
    EXPECT_GE(goal(plan), plan.bound->value) << round;
    for (std::size_t count = 1; count <= std::min(3U, graph.depth()); ++count) {
      testing::for_all_cuts(graph.depth(), count, [&](const DepthCuts& cuts) {
        const Plan other = with_decoding(
            make_plan(graph, segment_at_depths(graph, cuts), request.pools, Strategy::kCustom,
                      std::vector<PoolCounts>(count, PoolCounts{1})),
            *request.decoding, request.pools);
        EXPECT_GE(goal(other), plan.bound->value) << round;
        if (plan.bound->is_proven) {
          EXPECT_GE(goal(other), goal(plan)) << round;
        }
      });
    }
  }
}

TEST(PlanDecoding, GoalsIncludeIt) {
  const Model model = open_model("zoo:conv5-f702");
  const Graph graph(model);
  const auto pools = open_devices("edgetpu-usb3", 4);
  const Plan plain = plan_model(graph, request_on("edgetpu-usb3", 4)).plan;
  PlanRequest request = decoding_request("edgetpu-usb3", 4);
  const Nanoseconds time = decoding_on(kWork, pools).time;
  request.limits.max_latency = plain.predicted.latency + time;
  EXPECT_EQ(plan_model(graph, request).plan.bound->max_latency, request.limits.max_latency);
  EXPECT_LE(plan_model(graph, request).plan.predicted.latency, *request.limits.max_latency);
  request.limits.max_latency = time;
  expect_error(ErrorCode::kInfeasible, [&] { (void)plan_model(graph, request); },
               {"decoding on the host takes"});
  request.limits.max_latency = time + Nanoseconds(1000);
  expect_error(ErrorCode::kInfeasible, [&] { (void)plan_model(graph, request); },
               {"decoding on the host takes"});
  request = decoding_request("edgetpu-usb3", 4, slow_decoding());
  request.least_throughput_per_s = 10;
  expect_error(ErrorCode::kInfeasible, [&] { (void)plan_model(graph, request); });
  request.decoding.reset();
  EXPECT_NO_THROW((void)plan_model(graph, request));
  request.least_throughput_per_s = std::nan("");
  expect_error(ErrorCode::kInvalidArgument, [&] { (void)plan_model(graph, request); },
               {"must be a number above 0"});
}

TEST(PlanDecoding, FileRoundTripsAndIsChecked) {
  const Model model = open_model("zoo:conv5-f702");
  const Graph graph(model);
  const PlanRequest request = decoding_request("edgetpu-usb3", 2);
  Plan plan = plan_model(graph, request).plan;
  identify_model(plan, model);
  const std::string text = to_json(plan);
  const Plan read = parse_plan(text, "plan.json");
  EXPECT_EQ(read.decoding, plan.decoding);
  EXPECT_EQ(to_json(read), text);
  EXPECT_NO_THROW(check_plan_consistent(read, request.pools));
  const Plan evaluated = evaluate_plan(read, graph, request.pools);
  EXPECT_EQ(evaluated.strategy, Strategy::kOptimal);
  EXPECT_EQ(evaluated.bound->value, plan.bound->value);
  Plan edited = read;
  edited.decoding->time *= 1000;
  expect_error(ErrorCode::kInvalidArgument, [&] { check_plan_consistent(edited, request.pools); },
               {"predictions"});
  EXPECT_EQ(evaluate_plan(edited, graph, request.pools).decoding, plan.decoding);
}

TEST(PlanDecoding, InvalidValuesAreRefused) {
  const Model model = open_model("zoo:conv5-f32");
  const Plan plan = plan_model(Graph(model), decoding_request("edgetpu-usb3", 1)).plan;
  const auto refused = [&](const std::string& key, const nlohmann::json& value,
                           const std::string& part) {
    auto document = nlohmann::ordered_json::parse(to_json(plan));
    document["decoding"][key] = value;
    expect_error(ErrorCode::kInvalidArgument, [&] { (void)parse_plan(document.dump(), "p.json"); },
                 {"p.json", "decoding." + key, part});
  };
  refused("family", "yolo", "unknown family 'yolo'");
  refused("boxes", -1, "whole number");
  refused("time_ns", 1.5, "whole number");
  refused("time_range_ns", {2, 1}, "");
  refused("colour", 1, "unknown key");
}

TEST(PlanDecoding, ProofHoldsAndFalseOneIsRejected) {
  const Model model = open_model("zoo:conv5-f702");
  const Graph graph(model);
  for (const Objective objective : {Objective::kThroughput, Objective::kLatency}) {
    for (const DecodingWork& work : {kWork, slow_decoding()}) {
      PlanRequest request = decoding_request("edgetpu-pcie", 4, work);
      request.limits.objective = objective;
      Plan plan = plan_model(graph, request).plan;
      const CertificateVerdict verdict = check_certificate(plan, graph, request.pools);
      EXPECT_TRUE(verdict.is_accepted) << verdict.reason;
      Plan higher = plan;  // a claim that nothing is below a value the plan itself is below
      higher.bound->value += Nanoseconds(1);
      higher.bound->is_proven = false;
      EXPECT_FALSE(check_certificate(higher, graph, request.pools).is_accepted);
      Plan faster = plan;  // with a time that the host does not reach
      faster.decoding->time /= 2;
      EXPECT_FALSE(check_certificate(faster, graph, request.pools).is_accepted);
      Plan omitted = plan;
      omitted.decoding.reset();
      EXPECT_FALSE(check_certificate(omitted, graph, request.pools).is_accepted);
    }
  }
}

TEST(PlanDecoding, ReportsNameIt) {
  const Model model = open_model("zoo:conv5-f702");
  const Graph graph(model);
  const PlanRequest request = decoding_request("edgetpu-pcie", 2, slow_decoding());
  const Plan plan = plan_model(graph, request).plan;
  const std::string text = plan_text(plan, {}, 100);
  EXPECT_THAT(text, HasSubstr("Decoding on the host is the bottleneck"));
  EXPECT_THAT(text, HasSubstr("Decoding on the host (YOLOv8, 84000000 rows): "));
  TimelineOptions options = timeline_options(plan, request.pools);
  options.records_events = true;
  const Timeline timeline = simulate_timeline(stage_loads(plan), options);
  EXPECT_THAT(trace_json(plan, timeline), HasSubstr("\"decoding\""));
  const auto json = nlohmann::json::parse(simulate_json(plan, timeline, options));
  EXPECT_EQ(json["stages"].size(), plan.stages.size());
  EXPECT_EQ(json["decoding"]["time_ns"], plan.decoding->time.count());
  EXPECT_GT(json["decoding"]["utilisation"], 0.9);
}

// --- numbers of devices in plan.json

TEST(PlanFile, MoreReplicasThanDevicesAreRefused) {
  const Model model = open_model("zoo:conv5-f32");
  const Graph graph(model);
  PlanRequest request{.pools = open_devices("2xedgetpu-usb3,3xedgetpu-pcie", 0)};
  const Plan plan = plan_model(graph, request).plan;
  const auto refused = [&](std::uint32_t replicas, std::initializer_list<std::string> parts) {
    Plan edited = plan;
    edited.stages[0].replicas = replicas;
    edited.stages[0].devices = {{0, replicas, plan.stages[0].time}};
    expect_error(
        ErrorCode::kInvalidArgument, [&] { (void)parse_plan(to_json(edited), "p.json"); }, parts);
  };
  refused(6, {"stages[0].replicas: must be from 1 to 5", "2xedgetpu-usb3:shared,3xedgetpu-pcie"});
  refused(8192, {"must be from 1 to 5"});
  if (plan.stages.size() > 1)
    refused(5, {"stages: have", "replicas in total", "has at most 5 devices"});
}

}  // namespace
}  // namespace segue
