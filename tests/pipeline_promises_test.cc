// Tests edge cases of pipelines: waiting, opening, ending sessions, new plans that are invalid,
// statistics.
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "expect.h"
#include "faulty_devices.h"
#include "runtime/pipeline/latency_histogram.h"

namespace segue {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::chain_in_pieces;
using testing::chain_of;
using testing::devices_with;
using testing::expect_all_in_order;
using testing::expect_error;
using testing::FakeBackend;
using testing::Fault;
using testing::FaultyDevices;
using testing::input_of;
using testing::layout_of;

// A caller whose time ends at the moment when it is woken must not consume another caller's
// wake-up.
TEST(PipelinePromises, TimedOutPopKeepsResultForOther) {
  const auto backend = std::make_shared<FakeBackend>(chain_of(2), FakeBackend::Before(), true);
  Pipeline pipeline(layout_of(2), devices_with(2, backend), {});
  for (int round = 0; round < 300; ++round) {
    const auto pop = [&](Nanoseconds timeout) {
      return std::async(std::launch::async, [&pipeline, timeout] {
        PipelineResult popped;
        return pipeline.pop(popped, timeout);
      });
    };
    auto leaves = pop(microseconds(200));
    auto stays = pop(seconds(20));
    std::this_thread::sleep_for(microseconds(150 + round % 100));
    ASSERT_EQ(pipeline.push(input_of(0), seconds(20)), Flow::kOk);
    if (leaves.get() == Flow::kOk) {
      ASSERT_EQ(pipeline.push(input_of(0), seconds(20)), Flow::kOk);
    }
    ASSERT_EQ(stays.get(), Flow::kOk) << "round " << round;
  }
}

// A backend whose sessions fail and end only after their release.
class SlowToEnd : public FakeBackend {
 public:
  explicit SlowToEnd(std::shared_future<void> released)
      : FakeBackend(chain_of(1), [](auto&, auto&) { throw Error(ErrorCode::kDevice, "worn out"); }),
        released_(std::move(released)) {}
  [[nodiscard]] std::unique_ptr<Session> open(std::span<const std::byte> model,
                                              const std::string& name) const override {
    class Slow : public Session {
     public:
      Slow(std::unique_ptr<Session> session, std::shared_future<void> released)
          : session_(std::move(session)), released_(std::move(released)) {}
      ~Slow() override { released_.wait(); }
      Slow(const Slow&) = delete;
      Slow& operator=(const Slow&) = delete;
      [[nodiscard]] std::span<const Port> inputs() const override { return session_->inputs(); }
      [[nodiscard]] std::span<const Port> outputs() const override { return session_->outputs(); }
      void run_into(std::span<const std::span<const std::byte>> inputs,
                    std::vector<TensorBytes>& outputs) override {
        session_->run_into(inputs, outputs);
      }

     private:
      std::unique_ptr<Session> session_;
      std::shared_future<void> released_;
    };
    return std::make_unique<Slow>(FakeBackend::open(model, name), released_);
  }

 private:
  std::shared_future<void> released_;
};

TEST(PipelinePromises, SlowSessionDestructorDoesNotBlock) {
  std::promise<void> release;
  {
    auto devices = devices_with(2, std::make_shared<FakeBackend>(chain_of(1)));
    devices[0].backend = std::make_shared<SlowToEnd>(release.get_future().share());
    Pipeline pipeline(layout_of(1, {2}), devices, {.watchdog = milliseconds(500)});
    expect_all_in_order(pipeline, 200, 1);
    EXPECT_EQ(pipeline.statistics().losses.size(), 1U);
  }
  release.set_value();
}

TEST(PipelinePromises, HungOpenEndsConstructor) {
  std::promise<void> release;
  class NeverOpens : public FakeBackend {
   public:
    explicit NeverOpens(std::shared_future<void> released)
        : FakeBackend(chain_of(1)), released_(std::move(released)) {}
    [[nodiscard]] std::unique_ptr<Session> open(std::span<const std::byte> model,
                                                const std::string& name) const override {
      released_.wait();
      return FakeBackend::open(model, name);
    }

   private:
    std::shared_future<void> released_;
  };
  const auto backend = std::make_shared<NeverOpens>(release.get_future().share());
  expect_error(ErrorCode::kDevice,
               [&] {
                 const Pipeline pipeline(layout_of(1), devices_with(1, backend),
                                         {.watchdog = milliseconds(50)});
               },
               {"tpu0 did not open the segment within"});
  release.set_value();
}

TEST(PipelinePromises, ExtremeWatchdogsAreAccepted) {
  const auto backend = std::make_shared<FakeBackend>(chain_of(2));
  for (const Nanoseconds watchdog : {Pipeline::kForever, Nanoseconds(0)}) {
    Pipeline pipeline(layout_of(2), devices_with(2, backend), {.watchdog = watchdog});
    expect_all_in_order(pipeline, 100, 2);
  }
}

TEST(PipelinePromises, InvalidReplanEndsWithReason) {
  const std::vector<std::pair<PipelineLayout, std::string>> plans{
      {PipelineLayout{}, "at least one segment"},
      {layout_of(2, {1, 0}), "0 devices assigned"},
      {layout_of(2, {0x80000000U, 0x80000000U}), "4294967296 devices"},
      {layout_of(4), "needs 4 devices, but 3 given"},
      {layout_of(3), "other inputs or outputs"}};
  for (const auto& [plan, reason] : plans) {
    SCOPED_TRACE(reason);
    FaultyDevices faulty(chain_in_pieces(), 4);
    faulty.plan(2, Fault::kError, 5);
    PipelineOptions options;
    options.replan = [&plan](std::uint32_t) { return std::optional(plan); };
    Pipeline pipeline(layout_of(4), faulty.devices(), options);
    const std::jthread producer([&] { testing::push_until_error(pipeline, 20); });
    PipelineResult result;
    std::uint64_t popped = 0;
    expect_error(ErrorCode::kDevice,
                 [&] {
                   for (; pipeline.pop(result) == Flow::kOk; ++popped)
                     EXPECT_EQ(result.number, popped);
                 },
                 {"no plan for the remaining 3 devices", reason.c_str()});
    EXPECT_EQ(pipeline.statistics().losses.at(0).remedy, "none, no new plan was found");
  }
}

TEST(PipelinePromises, ThrowingLossCallbackIsCalledAgain) {
  for (const bool is_local : {false, true}) {
    std::atomic<int> calls = 0;
    FaultyDevices faulty(chain_of(1), 4, is_local);
    for (std::size_t i = 0; i < 3; ++i) faulty.plan(i, Fault::kError, static_cast<int>(20 * i));
    {
      PipelineOptions options;
      options.on_loss = [&](const DeviceLoss&) {
        ++calls;
        throw std::runtime_error("of the caller");
      };
      Pipeline pipeline(layout_of(1), faulty.devices(), options);
      expect_all_in_order(pipeline, 200, 1);
    }
    EXPECT_EQ(calls, 3);
  }
}

TEST(PipelinePromises, UtilisationIsAtMostOne) {
  const auto backend = std::make_shared<FakeBackend>(
      chain_of(2), [](auto&, auto&) { std::this_thread::sleep_for(milliseconds(2)); });
  Pipeline pipeline(layout_of(2), devices_with(2, backend), {});
  while (pipeline.push(input_of(0), milliseconds(50)) == Flow::kOk) {
  }
  PipelineResult result;
  ASSERT_EQ(pipeline.pop(result), Flow::kOk);
  const PipelineStatistics statistics = pipeline.statistics();
  for (const PipelineStageStatistics& stage : statistics.stages) {
    EXPECT_LE(stage.devices.at(0).utilisation, 1.0);
    EXPECT_GT(stage.devices.at(0).utilisation, 0.0);
    EXPECT_LE(stage.mean_queue, 2.0);
  }
}

TEST(LatencyHistogram, PercentilesMatchSortedLatencies) {
  pipeline::LatencyHistogram latencies;
  for (int i = 0; i < 99; ++i) latencies.record(milliseconds(1));
  latencies.record(milliseconds(200));
  const LatencyStatistics statistics = latencies.statistics();
  EXPECT_NEAR(to_ms(statistics.p50), 1, 0.01);
  EXPECT_NEAR(to_ms(statistics.p99), 1, 0.01) << "99 of 100 take no longer";
  EXPECT_EQ(statistics.max, milliseconds(200));
  pipeline::LatencyHistogram two;
  two.record(milliseconds(1));
  two.record(milliseconds(3));
  EXPECT_NEAR(to_ms(two.statistics().p50), 1, 0.02);
  EXPECT_NEAR(to_ms(two.statistics().p99), 3, 0.05);
}

}  // namespace
}  // namespace segue
