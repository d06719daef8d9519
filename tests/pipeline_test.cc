// Tests order and flow of pipelines with fake devices.
#include "segue/pipeline.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <latch>
#include <random>
#include <thread>

#include "expect.h"
#include "fake_backend.h"

namespace segue {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::bytes_of;
using testing::chain_of;
using testing::devices_with;
using testing::expect_all_in_order;
using testing::FakeBackend;
using testing::input_of;
using testing::layout_of;
using testing::number_in;
using testing::through_chain;

using ReplicaCounts = std::vector<std::uint32_t>;  // replicas per stage
class PipelineShapes : public ::testing::TestWithParam<ReplicaCounts> {};

TEST_P(PipelineShapes, ResultsAreCompleteAndInOrder) {
  const ReplicaCounts& replicas = GetParam();
  const auto backend = std::make_shared<FakeBackend>(
      chain_of(replicas.size()),
      [random = std::make_shared<std::atomic<unsigned>>(1)](auto&, auto&) {
        const unsigned draw = random->fetch_add(1) * 2654435761U;
        if (draw >> 29U == 0) std::this_thread::sleep_for(microseconds((draw >> 20U) & 0xFFU));
      });
  const auto layout = layout_of(replicas.size(), replicas);
  Pipeline pipeline(layout, devices_with(layout.device_count(), backend), {});
  expect_all_in_order(pipeline, 3000, replicas.size());
  const auto statistics = pipeline.statistics();
  EXPECT_EQ(statistics.results, 3000);
  EXPECT_EQ(statistics.stages.size(), replicas.size());
  for (const auto& stage : statistics.stages) {
    std::uint64_t inputs = 0;
    for (const auto& device : stage.devices) inputs += device.inputs;
    EXPECT_EQ(inputs, 3000);
    EXPECT_LE(stage.largest_queue, 2);
  }
  EXPECT_GE(statistics.latency.max, statistics.latency.p99);
  EXPECT_GE(statistics.latency.p99, statistics.latency.p50);
}

INSTANTIATE_TEST_SUITE_P(All, PipelineShapes,
                         ::testing::Values(ReplicaCounts{1}, ReplicaCounts{3}, ReplicaCounts{1, 1},
                                           ReplicaCounts{2, 1}, ReplicaCounts{1, 3},
                                           ReplicaCounts{1, 1, 1, 1}, ReplicaCounts{3, 1, 2},
                                           ReplicaCounts{1, 3, 2, 1}));

TEST(Pipeline, TensorsFollowLayoutNames) {
  FakeBackend::Segments segments;
  segments["0"] = {{"a", "b"}, {"c", "d"}, [](auto in, auto& out) {
                     out[0] = bytes_of(number_in(in[0]) + 1);
                     out[1] = bytes_of(number_in(in[1]) + 2);
                   }};
  segments["1"] = {{"d", "b"}, {"e"}, [](auto in, auto& out) {
                     out[0] = bytes_of(number_in(in[0]) * 10 + number_in(in[1]));
                   }};
  auto layout = layout_of(2);
  layout.inputs = {"b", "a"};
  layout.outputs = {"e", "d", "c", "a", "e"};
  Pipeline pipeline(layout, devices_with(2, std::make_shared<FakeBackend>(segments)), {});
  EXPECT_EQ(pipeline.inputs()[0].name, "b");
  EXPECT_EQ(pipeline.outputs()[2].name, "c");
  ASSERT_EQ(pipeline.push({bytes_of(5), bytes_of(1)}), Flow::kOk);
  PipelineResult result;
  ASSERT_EQ(pipeline.pop(result), Flow::kOk);
  std::vector<std::uint64_t> values;
  for (const auto& output : result.outputs) values.push_back(number_in(output));
  EXPECT_EQ(values, (std::vector<std::uint64_t>{75, 7, 2, 1, 75}));
}

TEST(Pipeline, MismatchedLayoutOrInputIsRefused) {
  PipelineLayout same_input = layout_of(1);
  same_input.inputs = {"t0", "t0"};
  testing::expect_error(ErrorCode::kInvalidArgument,
                        [&] {
                          const Pipeline pipeline(
                              same_input,
                              devices_with(1, std::make_shared<FakeBackend>(chain_of(1))), {});
                        },
                        {"'t0' is named twice"});
  const auto backend = std::make_shared<FakeBackend>(chain_of(3));
  const auto make = [&](PipelineLayout layout, std::size_t devices) {
    const Pipeline pipeline(std::move(layout), devices_with(devices, backend), {});
  };
  testing::expect_error(ErrorCode::kInvalidArgument, [&] { make({}, 1); },
                        {"at least one segment"});
  testing::expect_error(ErrorCode::kInvalidArgument, [&] { make(layout_of(3), 2); },
                        {"needs 3 devices, but 2 given"});
  auto named = layout_of(2);
  named.outputs = {"nothing"};
  testing::expect_error(ErrorCode::kInvalidArgument, [&] { make(named, 2); }, {"'nothing'"});
  named.outputs = {};
  named.inputs = {"t1"};
  testing::expect_error(ErrorCode::kInvalidArgument, [&] { make(named, 2); }, {"'t0'"});
  auto twice = layout_of(1);
  twice.segments.push_back(twice.segments[0]);
  testing::expect_error(ErrorCode::kInvalidArgument, [&] { make(twice, 2); }, {"writes 't1'"});
  Pipeline pipeline(layout_of(2), devices_with(2, backend), {});
  testing::expect_error(ErrorCode::kInvalidArgument, [&] { (void)pipeline.push({TensorBytes(3)}); },
                        {"'t0' needs 8 bytes, but 3 were given"});
  testing::expect_error(ErrorCode::kInvalidArgument, [&] { (void)pipeline.push({}); },
                        {"0 inputs"});
}

TEST(Pipeline, PopWakesWaitingProducer) {
  const auto backend = std::make_shared<FakeBackend>(chain_of(2), FakeBackend::Before(), true);
  Pipeline pipeline(layout_of(2), devices_with(2, backend),
                    {.queue_capacity = 4, .result_capacity = 4});
  PipelineResult result;
  for (int round = 0; round < 50; ++round) {
    while (pipeline.push(input_of(0), milliseconds(1)) == Flow::kOk) {
    }
    auto producer =
        std::async(std::launch::async, [&] { return pipeline.push(input_of(0), seconds(10)); });
    std::this_thread::sleep_for(microseconds(200));
    ASSERT_EQ(pipeline.pop(result, seconds(20)), Flow::kOk);
    ASSERT_EQ(producer.get(), Flow::kOk);
    for (int i = 0; i < 3; ++i) ASSERT_EQ(pipeline.pop(result, seconds(20)), Flow::kOk);
  }
}

TEST(Pipeline, NonBlockingCallsGetEveryResult) {
  const auto backend = std::make_shared<FakeBackend>(chain_of(3), FakeBackend::Before(), true);
  Pipeline pipeline(layout_of(3), devices_with(3, backend),
                    {.queue_capacity = 4, .result_capacity = 4});
  PipelineResult result;
  std::uint64_t pushed = 0;
  const auto give_up_at = std::chrono::steady_clock::now() + seconds(60);
  for (std::uint64_t popped = 0; popped < 2000;) {
    ASSERT_LT(std::chrono::steady_clock::now(), give_up_at) << popped << " of " << pushed;
    if (pushed < 2000 && pipeline.push(input_of(pushed), Nanoseconds(0)) == Flow::kOk) ++pushed;
    if (pipeline.pop(result, Nanoseconds(0)) != Flow::kOk) continue;
    ASSERT_EQ(number_in(result.outputs.at(0)), through_chain(popped++, 3));
  }
}

// At most as many devices that compute on this machine run at a time as there are cores.
TEST(Pipeline, LocalDevicesRunOnePerCore) {
  const auto cores = static_cast<int>(std::thread::hardware_concurrency());
  const auto stages = static_cast<std::uint32_t>(2 * cores);
  std::atomic<int> running = 0;
  std::atomic<int> most = 0;
  const auto backend = std::make_shared<FakeBackend>(
      chain_of(stages),
      [&](auto&, auto&) {
        const int now = ++running;
        int before = most;
        while (now > before && !most.compare_exchange_weak(before, now)) {
        }
        std::this_thread::sleep_for(milliseconds(1));
        --running;
      },
      true);
  Pipeline pipeline(layout_of(stages), devices_with(stages, backend),
                    {.queue_capacity = 4, .result_capacity = 64});
  for (std::uint64_t i = 0; i < 64; ++i) ASSERT_EQ(pipeline.push(input_of(i)), Flow::kOk);
  PipelineResult result;
  for (std::uint64_t i = 0; i < 64; ++i) {
    ASSERT_EQ(pipeline.pop(result), Flow::kOk);
    ASSERT_EQ(number_in(result.outputs.at(0)), through_chain(i, stages));
  }
  EXPECT_LE(most, cores);
  EXPECT_GE(most, std::min(cores, 2));
}

TEST(Pipeline, LongTimeoutDoesNotOverflow) {
  const auto backend = std::make_shared<FakeBackend>(chain_of(1), FakeBackend::Before(), true);
  Pipeline pipeline(layout_of(1), devices_with(1, backend), {});
  PipelineResult result;
  EXPECT_EQ(pipeline.pop(result, milliseconds(1)), Flow::kTimeout);
  auto popped = std::async(std::launch::async, [&] {
    return pipeline.pop(result, Nanoseconds::max() - std::chrono::seconds(1));
  });
  std::this_thread::sleep_for(milliseconds(5));
  EXPECT_EQ(pipeline.push(input_of(1)), Flow::kOk);
  EXPECT_EQ(popped.get(), Flow::kOk);
}

TEST(Pipeline, CloseWithManyCallersLosesNothing) {
  for (int round = 0; round < 30; ++round) {
    const auto backend = std::make_shared<FakeBackend>(chain_of(2), FakeBackend::Before(), true);
    Pipeline pipeline(layout_of(2), devices_with(2, backend), {});
    std::atomic<std::uint64_t> accepted = 0;
    std::atomic<std::uint64_t> popped = 0;
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
          while (pipeline.push(input_of(0), seconds(30)) == Flow::kOk) ++accepted;
        });
      }
      for (int i = 0; i < 3; ++i) {
        threads.emplace_back([&] {
          PipelineResult result;
          while (pipeline.pop(result, seconds(30)) == Flow::kOk) ++popped;
        });
      }
      std::this_thread::sleep_for(milliseconds(3));
      pipeline.close();
    }
    EXPECT_EQ(popped, accepted);
    PipelineResult result;
    EXPECT_EQ(pipeline.pop(result, Nanoseconds(0)), Flow::kClosed);
  }
}

TEST(Pipeline, ProducersAndConsumersGetAllResults) {
  const auto backend = std::make_shared<FakeBackend>(chain_of(2), FakeBackend::Before(), true);
  for (int round = 0; round < 5; ++round) {
    Pipeline pipeline(layout_of(2, {2, 1}), devices_with(3, backend), {});
    expect_all_in_order(pipeline, 2000, 2);
  }
}

// --- flow

// The pipeline behaves the same on simulated devices and on cores of this machine.
class PipelineFlow : public ::testing::TestWithParam<bool> {
 protected:
  [[nodiscard]] static std::shared_ptr<const Backend> backend(std::size_t segments,
                                                              FakeBackend::Before before = {}) {
    return std::make_shared<FakeBackend>(chain_of(segments), std::move(before), GetParam());
  }
};

INSTANTIATE_TEST_SUITE_P(On, PipelineFlow, ::testing::Bool(),
                         [](const auto& row) { return row.param ? "Cores" : "Devices"; });

TEST_P(PipelineFlow, FullPipelineBlocksProducer) {
  Pipeline pipeline(layout_of(2), devices_with(2, backend(2)),
                    {.queue_capacity = 3, .result_capacity = 4});
  // The pipeline holds two queues, two devices with a result each, and the queue of results.
  std::uint64_t accepted = 0;
  for (; accepted < 3 + 1 + 3 + 1 + 4; ++accepted)
    ASSERT_EQ(pipeline.push(input_of(accepted), seconds(20)), Flow::kOk);
  auto kept = input_of(7);
  EXPECT_EQ(pipeline.push(std::move(kept), milliseconds(20)), Flow::kTimeout);
  EXPECT_EQ(kept.at(0).size(), 8);  // NOLINT(bugprone-use-after-move): the contract
  PipelineResult result;
  EXPECT_EQ(pipeline.pop(result), Flow::kOk);
  EXPECT_EQ(pipeline.push(std::move(kept), seconds(10)), Flow::kOk);
  pipeline.close();
  std::uint64_t popped = 1;
  while (pipeline.pop(result) == Flow::kOk) ++popped;
  EXPECT_EQ(popped, accepted + 1);
}

TEST(Pipeline, PopTimesOutUntilResult) {
  std::promise<void> may_end;
  const auto backend = std::make_shared<FakeBackend>(
      chain_of(1), [end = may_end.get_future().share()](auto&, auto&) { end.wait(); });
  Pipeline pipeline(layout_of(1), devices_with(1, backend), {});
  PipelineResult result;
  EXPECT_EQ(pipeline.pop(result, milliseconds(0)), Flow::kTimeout);
  EXPECT_EQ(pipeline.push(input_of(1)), Flow::kOk);
  EXPECT_EQ(pipeline.pop(result, milliseconds(2)), Flow::kTimeout);
  may_end.set_value();
  EXPECT_EQ(pipeline.pop(result), Flow::kOk);
  EXPECT_GE(result.latency, milliseconds(2));
}

TEST_P(PipelineFlow, CloseKeepsAcceptedInputs) {
  for (int round = 0; round < 20; ++round) {
    Pipeline pipeline(layout_of(2), devices_with(2, backend(2)), {});
    std::atomic<std::uint64_t> accepted = 0;
    std::vector<std::jthread> producers;
    for (int i = 0; i < 4; ++i) {
      producers.emplace_back([&] {
        while (pipeline.push(input_of(1)) == Flow::kOk) ++accepted;
      });
    }
    PipelineResult result;
    std::uint64_t popped = 0;
    for (; popped < 100; ++popped) ASSERT_EQ(pipeline.pop(result), Flow::kOk);
    pipeline.close();
    while (pipeline.pop(result) == Flow::kOk) ++popped;
    producers.clear();
    EXPECT_EQ(popped, accepted);
    EXPECT_EQ(pipeline.push(input_of(1)), Flow::kClosed);
  }
}

TEST_P(PipelineFlow, CancelWakesCallersAndDropsInputs) {
  const auto slow = backend(1, [](auto&, auto&) { std::this_thread::sleep_for(milliseconds(5)); });
  Pipeline pipeline(layout_of(1), devices_with(1, slow), {});
  auto push = std::async([&] {
    while (pipeline.push(input_of(1)) == Flow::kOk) {
    }
  });
  std::this_thread::sleep_for(milliseconds(20));
  pipeline.cancel();
  push.get();
  PipelineResult result;
  EXPECT_EQ(pipeline.pop(result), Flow::kClosed);
}

TEST_P(PipelineFlow, DestructorWaitsForRunningDevice) {
  std::atomic<int> ended = 0;
  const auto slow = backend(2, [&](auto&, auto&) {
    std::this_thread::sleep_for(milliseconds(20));
    ++ended;
  });
  {
    Pipeline pipeline(layout_of(2), devices_with(2, slow), {});
    for (std::uint64_t i = 0; i < 3; ++i) EXPECT_EQ(pipeline.push(input_of(i)), Flow::kOk);
  }
  const int at_end = ended;
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_EQ(ended, at_end);
}

TEST_P(PipelineFlow, PausedConsumerGetsAllResults) {
  Pipeline pipeline(layout_of(3), devices_with(3, backend(3)), {});
  std::thread producer([&] {
    for (std::uint64_t i = 0; i < 200; ++i) EXPECT_EQ(pipeline.push(input_of(i)), Flow::kOk);
    pipeline.close();
  });
  std::this_thread::sleep_for(milliseconds(50));
  PipelineResult result;
  for (std::uint64_t i = 0; i < 200; ++i) {
    ASSERT_EQ(pipeline.pop(result), Flow::kOk);
    EXPECT_EQ(result.number, i);
    if (i == 100) std::this_thread::sleep_for(milliseconds(50));
  }
  EXPECT_EQ(pipeline.pop(result), Flow::kClosed);
  producer.join();
}

}  // namespace
}  // namespace segue
