// Tests the capacity of a pipeline, which may change while the pipeline runs.
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <random>
#include <thread>

#include "expect.h"
#include "fake_backend.h"

namespace segue {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::chain_of;
using testing::devices_with;
using testing::FakeBackend;
using testing::input_of;
using testing::layout_of;
using testing::number_in;
using testing::through_chain;

// Each test runs on simulated devices and on cores of this machine.
class PipelineCapacity : public ::testing::TestWithParam<bool> {
 protected:
  static constexpr std::size_t kSegments = 3;

  [[nodiscard]] std::unique_ptr<Pipeline> make(std::uint32_t queue, std::uint32_t results) const {
    const auto backend =
        std::make_shared<FakeBackend>(chain_of(kSegments), FakeBackend::Before(), GetParam());
    PipelineOptions options;
    options.queue_capacity = queue;
    options.result_capacity = results;
    return std::make_unique<Pipeline>(layout_of(kSegments), devices_with(kSegments, backend),
                                      options);
  }

  // Returns how many inputs the pipeline takes while no results are popped.
  static std::size_t fill(Pipeline& pipeline) {
    std::size_t accepted = 0;
    while (pipeline.push(input_of(0), milliseconds(200)) == Flow::kOk) ++accepted;
    return accepted;
  }
};

// In each stage, one input waits and one is blocked, and one result waits. libcoral holds the same
// number.
TEST_P(PipelineCapacity, CapacityOneHoldsTwoPerStageAndOne) {
  EXPECT_EQ(fill(*make(1, 1)), 2 * kSegments + 1);
}

TEST_P(PipelineCapacity, LargerCapacityWakesProducers) {
  const auto pipeline = make(1, 1);
  const std::size_t before = fill(*pipeline);
  auto waits =
      std::async(std::launch::async, [&] { return pipeline->push(input_of(0), seconds(20)); });
  EXPECT_EQ(waits.wait_for(milliseconds(50)), std::future_status::timeout);
  pipeline->set_capacities(4, 5);
  EXPECT_EQ(waits.get(), Flow::kOk);
  EXPECT_EQ(before + 1 + fill(*pipeline), kSegments * (4 + 1) + 5);
}

TEST(PipelineQueue, LargerCapacityWakesWhileComputing) {
  std::promise<void> release;
  const auto backend = std::make_shared<FakeBackend>(
      chain_of(1), [released = release.get_future().share()](auto&, auto&) { released.wait(); });
  PipelineOptions options;
  options.queue_capacity = 1;
  Pipeline pipeline(layout_of(1), devices_with(1, backend), options);
  for (int i = 0; i < 2; ++i) ASSERT_EQ(pipeline.push(input_of(0), seconds(20)), Flow::kOk);
  auto waits =
      std::async(std::launch::async, [&] { return pipeline.push(input_of(0), seconds(20)); });
  EXPECT_EQ(waits.wait_for(milliseconds(50)), std::future_status::timeout);
  pipeline.set_capacities(2, 1);
  EXPECT_EQ(waits.wait_for(seconds(10)), std::future_status::ready);
  release.set_value();
  EXPECT_EQ(waits.get(), Flow::kOk);
}

TEST_P(PipelineCapacity, ResultCapacityAdmitsInputs) {
  const auto pipeline = make(1, 1);
  const std::size_t before = fill(*pipeline);
  pipeline->set_capacities(1, 20);
  EXPECT_EQ(before + fill(*pipeline), 2 * kSegments + 20);
}

TEST_P(PipelineCapacity, SmallerCapacityKeepsInputs) {
  const auto pipeline = make(4, 4);
  std::size_t waiting = fill(*pipeline);
  pipeline->set_capacities(1, 1);
  PipelineResult result;
  while (waiting > 2 * kSegments + 1) {
    EXPECT_EQ(pipeline->push(input_of(0), milliseconds(0)), Flow::kTimeout) << waiting;
    ASSERT_EQ(pipeline->pop(result, seconds(20)), Flow::kOk);
    --waiting;
  }
  pipeline->close();
  for (; waiting > 0; --waiting) ASSERT_EQ(pipeline->pop(result, seconds(20)), Flow::kOk);
  EXPECT_EQ(pipeline->pop(result, seconds(20)), Flow::kClosed);
}

TEST_P(PipelineCapacity, RandomChangesLoseNothing) {
  const auto pipeline = make(2, 2);
  constexpr std::uint64_t kInputs = 20'000;
  std::atomic<bool> is_done = false;
  std::thread changer([&] {
    std::mt19937 random(7);
    while (!is_done) {
      pipeline->set_capacities(1 + static_cast<std::uint32_t>(random() % 6),
                               1 + static_cast<std::uint32_t>(random() % 6));
      std::this_thread::yield();
    }
  });
  std::thread producer([&] {
    for (std::uint64_t i = 0; i < kInputs; ++i)
      EXPECT_EQ(pipeline->push(input_of(i), seconds(20)), Flow::kOk);
    pipeline->close();
  });
  PipelineResult result;
  std::uint64_t next = 0;
  while (pipeline->pop(result, seconds(20)) == Flow::kOk)
    EXPECT_EQ(number_in(result.outputs.at(0)), through_chain(next++, kSegments));
  EXPECT_EQ(next, kInputs);
  is_done = true;
  producer.join();
  changer.join();
}

TEST_P(PipelineCapacity, CapacityZeroIsRefused) {
  const auto pipeline = make(1, 1);
  testing::expect_error(ErrorCode::kInvalidArgument, [&] { pipeline->set_capacities(0, 1); },
                        {"at least 1"});
  testing::expect_error(ErrorCode::kInvalidArgument, [&] { pipeline->set_capacities(1, 0); });
  EXPECT_EQ(fill(*pipeline), 2 * kSegments + 1);
}

INSTANTIATE_TEST_SUITE_P(On, PipelineCapacity, ::testing::Bool(),
                         [](const auto& tested) { return tested.param ? "Cores" : "Devices"; });

}  // namespace
}  // namespace segue
