#include "segue/timeline.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "expect.h"

namespace segue {
namespace {

using testing::expect_error;

StageLoad stage(int input, int compute, int output, std::uint32_t replicas = 1) {
  StageLoad load;
  load.time.input = Nanoseconds(input);
  load.time.compute = Nanoseconds(compute);
  load.time.output = Nanoseconds(output);
  load.time.output_on_link = Nanoseconds(output);
  load.replicas = replicas;
  return load;
}

// Expects the time between results of a long run, within a few percent, because results of replicas
// may come in bunches.
void expect_pace(const std::vector<StageLoad>& stages, TimelineOptions options, double expected) {
  options.inputs = 1000;
  const Timeline timeline = simulate_timeline(stages, options);
  EXPECT_NEAR(static_cast<double>(timeline.steady_period().count()), expected, 0.02 * expected);
  EXPECT_TRUE(std::ranges::is_sorted(timeline.results));
}

TimelineOptions inputs(std::uint64_t count, std::uint32_t queue = 2) {
  TimelineOptions options;
  options.inputs = count;
  options.queue_capacity = queue;
  return options;
}

// stage 0  |0000|1111|2222|
// stage 1       |00|  |11|  |22|
// time     0    4  6  8 10 12 14
TEST(Timeline, SlowFirstStageSetsPeriod) {
  const std::vector<StageLoad> stages{stage(0, 4, 0), stage(0, 2, 0)};
  const Timeline timeline = simulate_timeline(stages, inputs(3));
  EXPECT_EQ(timeline.results,
            (std::vector<Nanoseconds>{Nanoseconds(6), Nanoseconds(10), Nanoseconds(14)}));
  EXPECT_EQ(timeline.steady_period(), Nanoseconds(4));
  EXPECT_DOUBLE_EQ(timeline.stages[0].utilisation[0], 12.0 / 14);
  EXPECT_EQ(timeline.stages[1].largest_queue, 1U);
}

TEST(Timeline, OneInputTakesSumOfStages) {
  const std::vector<StageLoad> stages{stage(1, 4, 2), stage(3, 2, 1), stage(1, 1, 1)};
  TimelineOptions options = inputs(1);
  options.hop = Nanoseconds(10);
  EXPECT_EQ(simulate_timeline(stages, options).makespan, Nanoseconds(16 + 3 * 10));
}

// The second stage takes 10. The queue has room for one result, so the first stage holds the third
// result.
TEST(Timeline, FullQueueBlocksPreviousStage) {
  const std::vector<StageLoad> stages{stage(0, 1, 0), stage(0, 10, 0)};
  const Timeline bounded = simulate_timeline(stages, inputs(5, 1));
  EXPECT_EQ(bounded.stages[1].largest_queue, 1U);
  EXPECT_GT(bounded.stages[0].blocked, Nanoseconds(0));
  const Timeline unbounded = simulate_timeline(stages, inputs(5, 0));
  EXPECT_EQ(unbounded.stages[1].largest_queue, 3U);
  EXPECT_EQ(unbounded.stages[0].blocked, Nanoseconds(0));
  EXPECT_EQ(unbounded.makespan, bounded.makespan);
}

TEST(Timeline, TwoReplicasHalvePeriodInOrder) {
  expect_pace({stage(0, 100, 0), stage(0, 600, 0, 2), stage(0, 100, 0)}, inputs(1, 4), 300);
}

// Devices of 100 and 300 give 4 results in 300, in order; the fast one holds results back.
TEST(Timeline, UnequalReplicaRatesAdd) {
  StageLoad load = stage(0, 300, 0, 2);
  load.replica_times = {stage(0, 100, 0).time, stage(0, 300, 0).time};
  expect_pace({load}, inputs(1), 75);
  expect_pace({stage(0, 10, 0), load, stage(0, 10, 0)}, inputs(1), 75);
  // A slower stage after it limits the throughput and also stops the fast device.
  expect_pace({load, stage(0, 200, 0)}, inputs(1), 200);
}

TEST(Timeline, ResultsWaitForSlowestReplica) {
  StageLoad load = stage(0, 900, 0, 2);
  load.replica_times = {stage(0, 900, 0).time, stage(0, 100, 0).time};
  const Timeline timeline = simulate_timeline(std::vector{load}, inputs(9));
  // The first input is on the slow device. The eight others overtake it, and their results wait for
  // it.
  EXPECT_EQ(timeline.results.front(), Nanoseconds(900));
  EXPECT_EQ(timeline.results.back(), Nanoseconds(900));
}

TEST(Timeline, HopsOfStagesOverlap) {
  TimelineOptions options = inputs(1);
  options.hop = Nanoseconds(1000);
  expect_pace(std::vector<StageLoad>(4, stage(0, 1, 0)), options, 1000);
}

// Two parallel devices of 1200 give a result every 600. On a shared link, their transfers of 500 +
// 500 exclude each other.
TEST(Timeline, SharedLinkLimitsReplicas) {
  const std::vector<StageLoad> stages{stage(500, 200, 500, 2)};
  TimelineOptions options = inputs(1);
  expect_pace(stages, options, 600);
  options.shared = {{{0, 1}}};
  expect_pace(stages, options, 1000);
}

TEST(Timeline, StreamingOccupiesSharedLink) {
  StageLoad load = stage(0, 100, 100, 2);
  load.time.streaming = Nanoseconds(800);
  TimelineOptions options = inputs(1);
  options.shared = {{{0, 1}}};
  expect_pace({load}, options, 900);
}

TEST(Timeline, InvalidArgumentsAreNamed) {
  const std::vector<StageLoad> stages{stage(0, 1, 0)};
  expect_error(ErrorCode::kInvalidArgument, [] { (void)simulate_timeline({}, {}); }, {"one stage"});
  expect_error(ErrorCode::kInvalidArgument, [&] { (void)simulate_timeline(stages, inputs(0)); },
               {"0 inputs"});
  TimelineOptions options = inputs(1);
  options.shared = {{{3}}};
  expect_error(ErrorCode::kInvalidArgument, [&] { (void)simulate_timeline(stages, options); },
               {"device 3"});
  options.shared = {{{0}}, {{0}}};
  expect_error(ErrorCode::kInvalidArgument, [&] { (void)simulate_timeline(stages, options); },
               {"two shared links"});
  const std::vector<StageLoad> none{stage(0, 1, 0, 0)};
  expect_error(ErrorCode::kInvalidArgument, [&] { (void)simulate_timeline(none, inputs(1)); },
               {"stage 0 has no replica"});
  StageLoad odd = stage(0, 1, 0, 3);
  odd.replica_times = {odd.time};
  expect_error(ErrorCode::kInvalidArgument,
               [&] { (void)simulate_timeline(std::vector{odd}, inputs(1)); },
               {"3 replicas, but 1 replica times"});
}

struct RandomPipeline {
  std::vector<StageLoad> stages;
  TimelineOptions options;
};

RandomPipeline random_pipeline(std::mt19937& random) {
  const auto below = [&](unsigned limit) { return static_cast<int>(random() % limit); };
  RandomPipeline result;
  const int count = 1 + below(6);
  for (int s = 0; s < count; ++s) {
    result.stages.push_back(
        stage(below(50), below(200), below(50), 1 + static_cast<std::uint32_t>(below(3))));
    result.stages.back().time.streaming = Nanoseconds(below(80));
    result.stages.back().time.fixed = Nanoseconds(1 + below(10));
  }
  result.options = inputs(1 + random() % 60, static_cast<std::uint32_t>(below(5)));
  result.options.hop = Nanoseconds(below(20));
  if (below(3) == 0) {
    result.options.shared = {{{0}}};
    if (count > 1) result.options.shared[0].devices.push_back(1);
  }
  return result;
}

TEST(TimelineLaws, RandomPipelinesStayWithinBounds) {
  std::mt19937 random(42);
  for (int round = 0; round < 500; ++round) {
    const RandomPipeline p = random_pipeline(random);
    const Timeline timeline = simulate_timeline(p.stages, p.options);
    const auto count = static_cast<std::int64_t>(p.options.inputs);
    Nanoseconds work{0};
    std::int64_t devices = 0;
    Nanoseconds one{0};
    for (const StageLoad& load : p.stages) {
      // No pipeline is faster than its slowest stage.
      const auto rounds = (count + load.replicas - 1) / load.replicas;
      EXPECT_GE(timeline.makespan, load.time.total() * rounds) << "round " << round;
      work += load.time.total() * count;
      devices += load.replicas;
      one += load.time.total() + p.options.hop;
    }
    EXPECT_GE(timeline.makespan, work / devices);
    EXPECT_GE(timeline.makespan,
              p.options.hop * count * static_cast<std::int64_t>(p.stages.size()));
    EXPECT_LE(timeline.makespan, one * count) << "worse than one input at a time";
    EXPECT_TRUE(std::ranges::is_sorted(timeline.results));
    for (const Nanoseconds latency : timeline.latencies) EXPECT_GE(latency, one);
    for (const StageStatistics& statistics : timeline.stages) {
      for (const double share : statistics.utilisation) EXPECT_LE(share, 1 + 1e-12);
    }
  }
}

TEST(TimelineLaws, DeviceEventsNeverOverlap) {
  std::mt19937 random(43);
  for (int round = 0; round < 100; ++round) {
    RandomPipeline p = random_pipeline(random);
    p.options.records_events = true;
    const Timeline timeline = simulate_timeline(p.stages, p.options);
    std::vector<Nanoseconds> free_from(32);
    std::vector<Nanoseconds> worked(32);
    for (const TimelineEvent& event : timeline.events) {
      if (event.activity == Activity::kHop) continue;
      EXPECT_GE(event.begin, free_from[event.device]);
      free_from[event.device] = event.end;
      worked[event.stage] += event.end - event.begin;
    }
    for (std::size_t s = 0; s < p.stages.size(); ++s) {
      EXPECT_EQ(worked[s], p.stages[s].time.total() * static_cast<std::int64_t>(p.options.inputs));
    }
  }
}

TEST(TimelineLaws, LargerBatchApproachesBottleneck) {
  const std::vector<StageLoad> stages{stage(2, 20, 3), stage(5, 40, 5), stage(5, 10, 1)};
  Nanoseconds before = simulate_timeline(stages, inputs(1)).time_per_input();
  for (const std::uint64_t batch : {2, 4, 15, 100, 1000}) {
    const Nanoseconds now = simulate_timeline(stages, inputs(batch)).time_per_input();
    EXPECT_LE(now, before);
    EXPECT_GE(now, Nanoseconds(50));
    before = now;
  }
  EXPECT_NEAR(static_cast<double>(before.count()), 50, 0.1);
}

TEST(TimelineLaws, RandomPipelinesGainFromBatches) {
  std::mt19937 random(45);
  for (int round = 0; round < 200; ++round) {
    RandomPipeline p = random_pipeline(random);
    p.options.shared.clear();  // a shared link may serve a long batch in a worse order
    Nanoseconds slowest = p.options.hop * static_cast<std::int64_t>(p.stages.size());
    for (const StageLoad& load : p.stages)
      slowest = std::max(slowest, load.time.total() / load.replicas);
    p.options.inputs = 1;
    const Nanoseconds alone = simulate_timeline(p.stages, p.options).time_per_input();
    Nanoseconds before = alone;
    for (const std::uint64_t batch : {8, 64, 512}) {
      p.options.inputs = batch;
      const Nanoseconds now = simulate_timeline(p.stages, p.options).time_per_input();
      EXPECT_LE(now, before + Nanoseconds(1)) << "round " << round << ", batch " << batch;
      EXPECT_GE(now + Nanoseconds(1), slowest * 7 / 8 - Nanoseconds(1));
      before = now;
    }
  }
}

// All bytes of devices on one link need time on this link, even if computation hides a part of it.
TEST(TimelineLaws, SharedLinkCapacityIsRespected) {
  std::mt19937 random(46);
  for (int round = 0; round < 100; ++round) {
    StageLoad load = stage(static_cast<int>(random() % 50), static_cast<int>(100 + random() % 200),
                           static_cast<int>(random() % 50), 4);
    load.time.streaming = Nanoseconds(random() % 80);
    load.time.hidden_streaming = Nanoseconds(random() % 100);
    load.time.output_on_link = load.time.output / 3;
    TimelineOptions options = inputs(40);
    options.shared = {{{0, 1, 2, 3}}};
    const Nanoseconds on_link = load.time.input + load.time.streaming + load.time.hidden_streaming +
                                load.time.output_on_link;
    EXPECT_GE(simulate_timeline(std::vector{load}, options).makespan, on_link * 40);
  }
}

TEST(Timeline, OverflowingTimesAreRefused) {
  StageLoad load = stage(0, 1, 0);
  load.time.compute = Nanoseconds(1'000'000'000'000'000);
  expect_error(ErrorCode::kInvalidArgument,
               [&] { (void)simulate_timeline(std::vector{load}, inputs(100'000)); },
               {"more than a hundred years"});
}

TEST(TimelineLaws, SimulationIsDeterministic) {
  std::mt19937 random(44);
  RandomPipeline p = random_pipeline(random);
  p.options.records_events = true;
  const Timeline a = simulate_timeline(p.stages, p.options);
  const Timeline b = simulate_timeline(p.stages, p.options);
  EXPECT_EQ(a.results, b.results);
  ASSERT_EQ(a.events.size(), b.events.size());
  for (std::size_t i = 0; i < a.events.size(); ++i) {
    EXPECT_EQ(a.events[i].begin, b.events[i].begin);
    EXPECT_EQ(a.events[i].device, b.events[i].device);
    EXPECT_EQ(a.events[i].activity, b.events[i].activity);
  }
}

}  // namespace
}  // namespace segue
