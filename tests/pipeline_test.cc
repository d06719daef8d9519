// The pipeline over stand-ins: order, flow, and what happens when devices fail.
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
using testing::FakeBackend;
using testing::layout_of;
using testing::number_in;
using testing::through_chain;

std::vector<TensorBytes> input_of(std::uint64_t value) { return {bytes_of(value)}; }

// Pushes 0, 1, … from another thread and closes; expects all results, once and in order.
void expect_all_in_order(Pipeline& pipeline, std::uint64_t count, std::size_t segments) {
  std::thread producer([&] {
    for (std::uint64_t i = 0; i < count; ++i) EXPECT_EQ(pipeline.push(input_of(i)), Flow::kOk);
    pipeline.close();
  });
  PipelineResult result;
  std::uint64_t next = 0;
  while (pipeline.pop(result) == Flow::kOk) {
    ASSERT_EQ(result.number, next);
    ASSERT_EQ(number_in(result.outputs.at(0)), through_chain(next, segments));
    ++next;
  }
  EXPECT_EQ(next, count);
  producer.join();
}

using Shape = std::vector<std::uint32_t>;  // replicas per stage
class PipelineShapes : public ::testing::TestWithParam<Shape> {};

TEST_P(PipelineShapes, ResultsComeOnceAndInOrderThoughDevicesOvertakeEachOther) {
  const Shape& replicas = GetParam();
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
                         ::testing::Values(Shape{1}, Shape{3}, Shape{1, 1}, Shape{2, 1},
                                           Shape{1, 3}, Shape{1, 1, 1, 1}, Shape{3, 1, 2},
                                           Shape{1, 3, 2, 1}));

TEST(Pipeline, ReportsItsTensorsByNameInTheOrderAskedFor) {
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

TEST(Pipeline, WhatDoesNotFitTogetherIsRefused) {
  const auto backend = std::make_shared<FakeBackend>(chain_of(3));
  const auto make = [&](PipelineLayout layout, std::size_t devices) {
    const Pipeline pipeline(std::move(layout), devices_with(devices, backend), {});
  };
  testing::expect_error(ErrorCode::kInvalidArgument, [&] { make({}, 1); },
                        {"at least one segment"});
  testing::expect_error(ErrorCode::kInvalidArgument, [&] { make(layout_of(3), 2); },
                        {"needs 3 devices, 2 are given"});
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
                        {"'t0' has 8 bytes, 3 given"});
  testing::expect_error(ErrorCode::kInvalidArgument, [&] { (void)pipeline.push({}); },
                        {"0 inputs"});
}

TEST(Pipeline, WorkOfCallersThatTurnsLongGoesBackToTheWorkers) {
  const auto backend = std::make_shared<FakeBackend>(
      chain_of(3),
      [runs = std::make_shared<std::atomic<unsigned>>(0)](auto&, auto&) {
        if (runs->fetch_add(1) % 97 == 50) std::this_thread::sleep_for(milliseconds(1));
      },
      true);
  Pipeline pipeline(layout_of(3), devices_with(3, backend),
                    {.queue_capacity = 4, .result_capacity = 4});
  PipelineResult result;
  std::uint64_t pushed = 0;
  for (std::uint64_t popped = 0; popped < 4000; ++popped) {
    for (; pushed < 4000 && pushed - popped < 6; ++pushed)
      ASSERT_EQ(pipeline.push(input_of(pushed), seconds(20)), Flow::kOk);
    ASSERT_EQ(pipeline.pop(result, seconds(20)), Flow::kOk);
    ASSERT_EQ(number_in(result.outputs.at(0)), through_chain(popped, 3));
  }
}

TEST(Pipeline, ShortWorkOfCallersComesInOrderFromManyThreads) {
  const auto backend = std::make_shared<FakeBackend>(chain_of(2), FakeBackend::Before(), true);
  for (int round = 0; round < 5; ++round) {
    Pipeline pipeline(layout_of(2, {2, 1}), devices_with(3, backend), {});
    expect_all_in_order(pipeline, 2000, 2);
  }
}

// --- flow

TEST(PipelineFlow, FastProducerIsHeldBackAndMemoryStaysBounded) {
  const auto backend = std::make_shared<FakeBackend>(chain_of(2));
  Pipeline pipeline(layout_of(2), devices_with(2, backend),
                    {.queue_capacity = 3, .result_capacity = 4});
  std::uint64_t accepted = 0;
  while (pipeline.push(input_of(accepted), milliseconds(50)) == Flow::kOk) ++accepted;
  // Two queues, two devices that hold a result, and the results.
  EXPECT_EQ(accepted, 3 + 1 + 3 + 1 + 4);
  auto kept = input_of(7);
  EXPECT_EQ(pipeline.push(std::move(kept), milliseconds(0)), Flow::kTimeout);
  EXPECT_EQ(kept.at(0).size(), 8);  // NOLINT(bugprone-use-after-move): the contract
  PipelineResult result;
  EXPECT_EQ(pipeline.pop(result), Flow::kOk);
  EXPECT_EQ(pipeline.push(std::move(kept), seconds(10)), Flow::kOk);
  pipeline.close();
  std::uint64_t popped = 1;
  while (pipeline.pop(result) == Flow::kOk) ++popped;
  EXPECT_EQ(popped, accepted + 1);
}

TEST(PipelineFlow, PopTriesWaitsAndTimesOut) {
  const auto backend = std::make_shared<FakeBackend>(
      chain_of(1), [](auto&, auto&) { std::this_thread::sleep_for(milliseconds(30)); });
  Pipeline pipeline(layout_of(1), devices_with(1, backend), {});
  PipelineResult result;
  EXPECT_EQ(pipeline.pop(result, milliseconds(0)), Flow::kTimeout);
  EXPECT_EQ(pipeline.push(input_of(1)), Flow::kOk);
  EXPECT_EQ(pipeline.pop(result, milliseconds(1)), Flow::kTimeout);
  EXPECT_EQ(pipeline.pop(result), Flow::kOk);
  EXPECT_GE(result.latency, milliseconds(30));
}

TEST(PipelineFlow, CloseWhileFourThreadsPushLosesNothingThatWasAccepted) {
  for (int round = 0; round < 20; ++round) {
    const auto backend = std::make_shared<FakeBackend>(chain_of(2));
    Pipeline pipeline(layout_of(2), devices_with(2, backend), {});
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

TEST(PipelineFlow, CancelWakesEveryoneAndForgets) {
  const auto backend = std::make_shared<FakeBackend>(
      chain_of(1), [](auto&, auto&) { std::this_thread::sleep_for(milliseconds(5)); });
  Pipeline pipeline(layout_of(1), devices_with(1, backend), {});
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

TEST(PipelineFlow, DestructionWhileBusyEndsWhenTheDeviceDoes) {
  std::atomic<int> ended = 0;
  const auto backend = std::make_shared<FakeBackend>(chain_of(2), [&](auto&, auto&) {
    std::this_thread::sleep_for(milliseconds(20));
    ++ended;
  });
  {
    Pipeline pipeline(layout_of(2), devices_with(2, backend), {});
    for (std::uint64_t i = 0; i < 3; ++i) EXPECT_EQ(pipeline.push(input_of(i)), Flow::kOk);
  }
  const int at_end = ended;
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_EQ(ended, at_end);
}

TEST(PipelineFlow, ConsumerThatStopsAndReturnsFindsEverything) {
  const auto backend = std::make_shared<FakeBackend>(chain_of(3));
  Pipeline pipeline(layout_of(3), devices_with(3, backend), {});
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

// --- faults

enum class Fault { kError, kHang, kVanish, kSlow, kWrongSize };

// Devices of a run, of which some fail at their n-th computation. A device that vanished refuses
// everything from then on; one that hangs returns long after the watchdog, or when the test ends.
class FaultyDevices {
 public:
  FaultyDevices(FakeBackend::Segments segments, std::size_t count)
      : segments_(std::move(segments)) {
    for (std::size_t i = 0; i < count; ++i) faults_.push_back(std::make_shared<State>());
  }
  ~FaultyDevices() {
    release_->store(true);
    release_->notify_all();
  }
  FaultyDevices(const FaultyDevices&) = delete;
  FaultyDevices& operator=(const FaultyDevices&) = delete;

  void plan(std::size_t device, Fault fault, int at) { faults_[device]->fault = {fault, at}; }

  [[nodiscard]] std::vector<PipelineDevice> devices() {
    std::vector<PipelineDevice> devices;
    for (std::size_t i = 0; i < faults_.size(); ++i) {
      devices.push_back(
          {"tpu" + std::to_string(i),
           std::make_shared<FakeBackend>(
               segments_, [release = release_, state = faults_[i]](auto&, auto& outputs) {
                 fail_when_due(*state, *release, outputs);
               })});
    }
    return devices;
  }

 private:
  struct State {
    std::optional<std::pair<Fault, int>> fault;
    std::atomic<int> runs = 0;
    std::atomic<bool> is_gone = false;
  };

  static void fail_when_due(State& state, const std::atomic<bool>& release,
                            std::vector<TensorBytes>& outputs) {
    if (state.is_gone) throw Error(ErrorCode::kDevice, "no such device");
    if (!state.fault || state.runs++ != state.fault->second) return;
    switch (state.fault->first) {
      case Fault::kError:
        throw Error(ErrorCode::kDevice, "transfer on tag 2 failed");
      case Fault::kHang:
        release.wait(false);
        break;
      case Fault::kVanish:
        state.is_gone = true;
        throw Error(ErrorCode::kDevice, "no such device");
      case Fault::kSlow:
        std::this_thread::sleep_for(milliseconds(3));
        break;
      case Fault::kWrongSize:
        outputs[0].pop_back();
        break;
    }
  }

  FakeBackend::Segments segments_;
  std::vector<std::shared_ptr<State>> faults_;
  // Shared: threads of devices that hang outlive the run.
  std::shared_ptr<std::atomic<bool>> release_ = std::make_shared<std::atomic<bool>>(false);
};

// Pushes 0, 1, … until all are accepted or the pipeline ends with an error.
void push_until_error(Pipeline& pipeline, std::uint64_t count) {
  try {
    for (std::uint64_t i = 0; i < count; ++i) (void)pipeline.push(input_of(i));
  } catch (const Error&) {
  }
}

// Expects results in order and then a device error with these words; returns how many came.
std::uint64_t pop_until_error(Pipeline& pipeline, std::initializer_list<std::string> words) {
  PipelineResult result;
  std::uint64_t popped = 0;
  testing::expect_error(
      ErrorCode::kDevice,
      [&] {
        for (; pipeline.pop(result) == Flow::kOk; ++popped) EXPECT_EQ(result.number, popped);
      },
      words);
  return popped;
}

TEST(PipelineFaults, ReplicaTakesOverAndTheLossIsReported) {
  FaultyDevices faulty(chain_of(2), 3);
  faulty.plan(0, Fault::kError, 5);
  std::vector<DeviceLoss> losses;
  Pipeline pipeline(layout_of(2, {2, 1}), faulty.devices(),
                    {.on_loss = [&](const DeviceLoss& loss) { losses.push_back(loss); }});
  expect_all_in_order(pipeline, 500, 2);
  ASSERT_EQ(pipeline.statistics().losses.size(), 1);
  const DeviceLoss loss = pipeline.statistics().losses[0];
  EXPECT_EQ(loss.device, "tpu0");
  EXPECT_EQ(loss.segment, "0");
  EXPECT_EQ(loss.reason, "transfer on tag 2 failed");
  EXPECT_EQ(loss.remedy, "the other devices of the stage (1)");
  pipeline.cancel();
}

TEST(PipelineFaults, SpareTakesOver) {
  FaultyDevices faulty(chain_of(2), 3);
  faulty.plan(1, Fault::kWrongSize, 7);
  Pipeline pipeline(layout_of(2), faulty.devices(), {});
  expect_all_in_order(pipeline, 500, 2);
  EXPECT_EQ(pipeline.statistics().losses.at(0).reason, "gave 7 bytes for 't2', 8 are expected");
  EXPECT_EQ(pipeline.statistics().losses.at(0).remedy, "the spare tpu2");
  EXPECT_TRUE(pipeline.statistics().stages.at(1).devices.at(0).is_lost);
}

// Segments of a chain of four in fewer pieces: "0-1" is 0 and 1 in one.
FakeBackend::Segments chain_in_pieces() {
  auto segments = chain_of(4);
  for (std::size_t from = 0; from < 4; ++from) {
    for (std::size_t to = from + 1; to < 4; ++to) {
      segments[std::to_string(from) + "-" + std::to_string(to)] = {
          {"t" + std::to_string(from)},
          {"t" + std::to_string(to + 1)},
          [from, to](auto inputs, auto& outputs) {
            std::uint64_t value = number_in(inputs[0]);
            for (std::size_t i = from; i <= to; ++i) value = value * 3 + i;
            outputs[0] = bytes_of(value);
          }};
    }
  }
  return segments;
}

std::optional<PipelineLayout> fewer_pieces(std::uint32_t devices) {
  const std::vector<std::vector<std::string>> pieces{
      {"0-3"}, {"0-1", "2-3"}, {"0", "1-2", "3"}, {"0", "1", "2", "3"}};
  PipelineLayout layout;
  for (const auto& name : pieces.at(std::min<std::size_t>(devices, 4) - 1))
    layout.segments.push_back({name, {}, nullptr, 1});
  return layout;
}

TEST(PipelineFaults, NewPlanTakesOverUntilOneDeviceIsLeft) {
  FaultyDevices faulty(chain_in_pieces(), 4);
  faulty.plan(0, Fault::kError, 50);
  faulty.plan(1, Fault::kVanish, 80);
  faulty.plan(3, Fault::kWrongSize, 120);
  Pipeline pipeline(layout_of(4), faulty.devices(), {.replan = fewer_pieces});
  expect_all_in_order(pipeline, 1000, 4);
  EXPECT_EQ(pipeline.statistics().losses.size(), 3);
  EXPECT_EQ(pipeline.statistics().stages.size(), 1);
}

TEST(PipelineFaults, WithoutDevicesFinishedResultsComeAndThenTheError) {
  FaultyDevices faulty(chain_of(2), 2);
  faulty.plan(0, Fault::kError, 6);
  Pipeline pipeline(layout_of(2), faulty.devices(), {.result_capacity = 1});
  std::thread producer([&] {
    testing::expect_error(ErrorCode::kDevice,
                          [&] {
                            while (pipeline.push(input_of(1)) == Flow::kOk) {
                            }
                          },
                          {"0: no device is left", "tpu0", "transfer on tag 2 failed"});
  });
  const std::uint64_t popped = pop_until_error(pipeline, {"no device is left"});
  EXPECT_EQ(popped, 6);
  producer.join();
}

TEST(PipelineFaults, InputThatEveryDeviceFailsOnEndsThePipelineBeforeAllAreLost) {
  auto segments = chain_of(1);
  segments["0"].compute = [](auto inputs, auto& outputs) {
    if (number_in(inputs[0]) == 4) throw Error(ErrorCode::kInvalidModel, "cannot run this");
    outputs[0] = bytes_of(0);
  };
  Pipeline pipeline(layout_of(1, {5}), devices_with(5, std::make_shared<FakeBackend>(segments)),
                    {.result_capacity = 100});
  std::thread producer([&] { push_until_error(pipeline, 50); });
  const std::uint64_t popped =
      pop_until_error(pipeline, {"input 4 failed on 3 devices", "cannot run this"});
  EXPECT_LE(popped, 4);  // those that were still computed beside it are forgotten
  EXPECT_EQ(pipeline.statistics().losses.size(), 3);
  producer.join();
}

TEST(PipelineFaults, HangingDeviceIsGivenUpAndItsLateResultForgotten) {
  FaultyDevices faulty(chain_of(2), 3);
  faulty.plan(0, Fault::kHang, 10);
  Pipeline pipeline(layout_of(2), faulty.devices(), {.watchdog = milliseconds(50)});
  expect_all_in_order(pipeline, 300, 2);
  EXPECT_EQ(pipeline.statistics().losses.at(0).reason, "did not answer within 50.00 ms");
}

TEST(PipelineFaults, LastDeviceThatHangsIsReportedToo) {
  std::promise<DeviceLoss> lost;
  FaultyDevices faulty(chain_of(1), 1);
  faulty.plan(0, Fault::kHang, 0);
  Pipeline pipeline(layout_of(1), faulty.devices(),
                    {.watchdog = milliseconds(20),
                     .on_loss = [&](const DeviceLoss& loss) { lost.set_value(loss); }});
  ASSERT_EQ(pipeline.push(input_of(0)), Flow::kOk);
  PipelineResult result;
  testing::expect_error(ErrorCode::kDevice, [&] { (void)pipeline.pop(result); },
                        {"did not answer"});
  EXPECT_EQ(lost.get_future().get().remedy, "nothing: no device is left");
}

// Up to one fault per device, at random points of random pipelines: every input comes out once, in
// order, with the right value; or, when nothing can take over, the first of them and then the
// error.
void run_with_faults(std::uint64_t seed) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto draw = [&](std::uint64_t below) { return static_cast<std::size_t>(random() % below); };
  const bool replans = draw(2) == 0;
  const std::size_t stages = replans ? 4 : 1 + draw(4);
  std::vector<std::uint32_t> replicas;
  for (std::size_t i = 0; i < stages; ++i)
    replicas.push_back(1 + static_cast<std::uint32_t>(draw(3)));
  const auto layout = layout_of(stages, replicas);
  const std::size_t devices = layout.device_count() + draw(3);
  FaultyDevices faulty(replans ? chain_in_pieces() : chain_of(stages), devices);
  for (std::size_t i = 0; i < devices; ++i) {
    if (draw(2) == 0) continue;
    constexpr std::array kFaults{Fault::kError, Fault::kVanish,    Fault::kSlow,
                                 Fault::kHang,  Fault::kWrongSize, Fault::kError};
    faulty.plan(i, kFaults[draw(kFaults.size())], static_cast<int>(draw(30)));
  }
  PipelineOptions options{.queue_capacity = 1 + static_cast<std::uint32_t>(draw(3)),
                          .result_capacity = 1 + static_cast<std::uint32_t>(draw(3)),
                          .watchdog = milliseconds(25)};
  options.most_attempts = 100;
  if (replans) options.replan = fewer_pieces;
  Pipeline pipeline(layout, faulty.devices(), options);
  constexpr std::uint64_t kInputs = 60;
  std::thread producer([&] {
    push_until_error(pipeline, kInputs);
    pipeline.close();
  });
  PipelineResult result;
  std::uint64_t next = 0;
  try {
    for (; pipeline.pop(result, seconds(30)) == Flow::kOk; ++next) {
      EXPECT_EQ(result.number, next);
      EXPECT_EQ(number_in(result.outputs.at(0)), through_chain(next, stages));
    }
    EXPECT_EQ(next, kInputs);
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("no device is left"));
    EXPECT_LT(next, kInputs);
    EXPECT_FALSE(pipeline.statistics().losses.empty());
  }
  producer.join();
}

TEST(PipelineFaults, RandomFaultsLoseDoubleAndDisorderNothing) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    run_with_faults(seed);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace segue
