#include <gtest/gtest.h>

#include <random>

#include "expect.h"
#include "model_builder.h"
#include "reference/random_device.h"
#include "reference/random_model.h"
#include "segue/segmentation.h"
#include "segue/zoo.h"

namespace segue {
namespace {

using testing::expect_error;

// Returns random latencies, so that one latency implies nothing about another.
SegmentLatency random_latency(std::mt19937& random) {
  auto known = std::make_shared<std::map<std::vector<OperatorId>, Nanoseconds>>();
  return [&random, known](std::span<const OperatorId> operators) {
    const auto [entry, is_new] =
        known->try_emplace({operators.begin(), operators.end()}, Nanoseconds(0));
    if (is_new) entry->second = Nanoseconds(1 + random() % 1000);
    return entry->second;
  };
}

TEST(Profile, ExactMatchesExhaustiveForAnyLatency) {
  std::mt19937 random(1);
  for (int round = 0; round < 100; ++round) {
    const Model model = testing::random_model(random, 3 + static_cast<int>(random() % 10));
    const Graph graph(model);
    const SegmentLatency latency = random_latency(random);
    for (std::size_t count = 1; count <= std::min<std::size_t>(5, graph.depth()); ++count) {
      Profile all = Profile::of_depths(graph, latency);
      Profile few = Profile::of_depths(graph, latency);
      const auto exhaustive = segment_by_exhaustion(all, count);
      const auto exact = segment_profiled(few, count);
      EXPECT_EQ(exact.slowest, exhaustive.slowest) << "round " << round << ", " << count;
      check_segmentation(graph, exact.segmentation);
      EXPECT_EQ(exact.segmentation.segments.size(), count);
      EXPECT_LE(exact.measurements, graph.depth() * (graph.depth() + 1) / 2);
    }
  }
}

TEST(Profile, ExactMatchesExhaustiveOnSimulator) {
  std::mt19937 random(2);
  std::uint64_t measured = 0;
  std::uint64_t possible = 0;
  for (int round = 0; round < 60; ++round) {
    const Model model = testing::random_model(random, 4 + static_cast<int>(random() % 10));
    const Graph graph(model);
    const DeviceSpec device = testing::random_device(random);
    for (std::size_t count = 1; count <= std::min<std::size_t>(4, graph.depth()); ++count) {
      Profile all = Profile::of_depths(graph, simulated_latency(graph, device));
      Profile few = Profile::simulated(graph, device);
      EXPECT_EQ(segment_profiled(few, count).slowest, segment_by_exhaustion(all, count).slowest);
      measured += few.measurements();
      possible += graph.depth() * (graph.depth() + 1) / 2;
    }
  }
  EXPECT_LT(measured, possible);
}

TEST(Profile, SimulatedLatencyIsAtLeastItsBound) {
  const Model model = open_model("zoo:resnet50");
  const Graph graph(model);
  const DeviceSpec& device = find_device("edgetpu-usb3");
  Profile profile = Profile::simulated(graph, device);
  const SegmentLatency latency = simulated_latency(graph, device);
  for (std::size_t begin = 0; begin < profile.size(); begin += 9) {
    for (std::size_t end = begin + 1; end <= profile.size(); end += 7) {
      EXPECT_EQ(profile.latency(begin, end), latency(profile.operators(begin, end)));
      EXPECT_LE(profile.at_least(begin, end), profile.latency(begin, end));
    }
  }
}

TEST(Profile, MeasurementsAreCountedOnce) {
  const Model model = testing::conv_chain({8, 8, 8, 8});
  const Graph graph(model);
  int calls = 0;
  Profile profile = Profile::of_depths(graph, [&](std::span<const OperatorId> operators) {
    ++calls;
    return Nanoseconds(operators.size());
  });
  const auto first = segment_profiled(profile, 2);
  EXPECT_EQ(first.slowest, Nanoseconds(2));
  EXPECT_EQ(first.measurements, profile.measurements());
  EXPECT_EQ(first.measurements, static_cast<std::uint64_t>(calls));
  EXPECT_EQ(segment_profiled(profile, 2).measurements, 0U);
}

TEST(Profile, ChoicesAreBinomialCoefficients) {
  EXPECT_EQ(count_choices(71, 4), 54'740U);
  EXPECT_EQ(count_choices(10, 1), 1U);
  EXPECT_EQ(count_choices(3, 4), 0U);
  EXPECT_EQ(count_choices(509, 8), std::numeric_limits<std::uint64_t>::max());
}

TEST(Profile, ExhaustiveAboveLimitNamesCount) {
  const Model model = open_model("zoo:resnet50");
  const Graph graph(model);
  Profile profile = Profile::simulated(graph, find_device("edgetpu-pcie"));
  expect_error(ErrorCode::kInfeasible, [&] { (void)segment_by_exhaustion(profile, 4, 1000); },
               {"54740 choices of 4 segments", "limit of 1000"});
  EXPECT_EQ(profile.measurements(), 0U);
}

TEST(Profile, BisectionIsExactForMonotoneLatency) {
  std::mt19937 random(3);
  for (int round = 0; round < 50; ++round) {
    const Model model = testing::random_model(random, 4 + static_cast<int>(random() % 12));
    const Graph graph(model);
    std::vector<std::int64_t> weight(graph.operator_count());
    for (auto& w : weight) w = static_cast<std::int64_t>(1 + random() % 100);
    const SegmentLatency latency = [&](std::span<const OperatorId> operators) {
      Nanoseconds sum{0};
      for (const OperatorId id : operators) sum += Nanoseconds(weight[index(id)]);
      return sum;
    };
    const std::size_t count = 1 + random() % std::min<std::size_t>(4, graph.operator_count());
    Profile bisected = Profile::of_vendor_order(graph, latency);
    Profile exact = Profile::of_vendor_order(graph, latency);
    const auto found =
        segment_by_bisection(bisected, vendor_ends(graph, count), {1, Nanoseconds(1)});
    EXPECT_EQ(found.slowest, segment_profiled(exact, count).slowest) << "round " << round;
    check_segmentation(graph, found.segmentation);
  }
}

TEST(Profile, ImpossibleSegmentCountIsRefused) {
  const Model model = testing::conv_chain({8, 8});
  const Graph graph(model);
  Profile profile = Profile::simulated(graph, find_device("edgetpu-pcie"));
  expect_error(ErrorCode::kInfeasible, [&] { (void)segment_profiled(profile, 3); },
               {"3 segments", "only 2"});
  expect_error(ErrorCode::kInvalidArgument, [&] { (void)segment_profiled(profile, 0); }, {"0"});
}

TEST(Profile, MeasurementErrorReachesCaller) {
  const Model model = testing::conv_chain({8, 8, 8});
  const Graph graph(model);
  Profile profile = Profile::of_depths(graph, [](std::span<const OperatorId>) -> Nanoseconds {
    throw Error(ErrorCode::kDevice, "device 3 is gone");
  });
  expect_error(ErrorCode::kDevice, [&] { (void)segment_profiled(profile, 2); }, {"device 3"});
}

}  // namespace
}  // namespace segue
