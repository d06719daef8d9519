// Sets of models on shared devices: results, turns, and what takes over when a device is lost.
#include "segue/set_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "expect.h"
#include "fake_backend.h"
#include "fake_set.h"
#include "faulty_devices.h"
#include "runtime/set/shared_device.h"

namespace segue {
namespace {

using ::testing::ElementsAre;
using testing::expect_error;
using testing::FakeModel;
using testing::Fault;
using testing::FaultyDevices;
using ::testing::HasSubstr;
using testing::losses_of;
using testing::set_of;

// Each model is a chain of segments "0", "1", ...
std::vector<SetRunModel> run_models_of(const std::vector<FakeModel>& models) {
  std::vector<SetRunModel> result;
  for (const FakeModel& model : models) {
    PipelineLayout& layout = result.emplace_back().layout;
    for (std::size_t s = 0; s < model.tpus.size(); ++s)
      layout.segments.push_back(
          {std::to_string(s), {}, nullptr, static_cast<std::uint32_t>(model.tpus[s].size())});
  }
  return result;
}

// All inputs of all models at the same time; each model gets all its results, in order.
void expect_all(SetRun& set, const std::vector<FakeModel>& models, std::uint64_t inputs) {
  std::vector<std::jthread> threads;
  for (std::size_t m = 0; m < models.size(); ++m) {
    threads.emplace_back([&set, &models, m, inputs] {
      testing::expect_all_in_order(*set.pipeline(m), inputs, models[m].tpus.size());
    });
  }
}

TEST(SetRun, ModelsOnOneDeviceGetTheirResults) {
  const std::vector<FakeModel> models{{"a", 30, {{0}, {1}}}, {"b", 10, {{0, 1}}}, {"c", {}, {{1}}}};
  FaultyDevices devices(testing::chain_of(2), 2);
  SetRun set(set_of(models, 2), run_models_of(models), devices.devices(), {});
  expect_all(set, models, 300);
  const auto statistics = set.devices();
  EXPECT_THAT(statistics[0].models, ElementsAre("a", "b"));
  EXPECT_THAT(statistics[1].models, ElementsAre("a", "b", "c"));
  EXPECT_EQ(statistics[0].inferences + statistics[1].inferences, 2 * 300U + 300 + 300);
  EXPECT_GT(statistics[1].changes, 0U);
}

TEST(SetRun, DeviceServesOneModelAtATime) {
  const std::vector<FakeModel> models{{"a", 30, {{0}}}, {"b", 10, {{0}}}};
  std::atomic<int> inside = 0;
  std::atomic<int> most = 0;
  auto segments = testing::chain_of(1);
  segments["0"].compute = [&](auto inputs, auto& outputs) {
    most = std::max(most.load(), ++inside);
    std::this_thread::sleep_for(std::chrono::microseconds(200));
    outputs[0] = testing::bytes_of(testing::number_in(inputs[0]) * 3);
    --inside;
  };
  const auto backend = std::make_shared<testing::FakeBackend>(segments);
  SetRun set(set_of(models, 1), run_models_of(models), testing::devices_with(1, backend), {});
  expect_all(set, models, 100);
  EXPECT_EQ(most, 1);
}

TEST(SetRun, WrongNumbersAreRefused) {
  const std::vector<FakeModel> models{{"a", 30, {{0}, {1}}}};
  FaultyDevices devices(testing::chain_of(2), 2);
  const auto open = [&](std::vector<SetRunModel> of, std::size_t count) {
    auto some = devices.devices();
    some.resize(count);
    (void)SetRun(set_of(models, 2), std::move(of), some, {});
  };
  using enum ErrorCode;
  expect_error(kInvalidArgument, [&] { open({}, 2); }, {"0 models given, but the set has 1"});
  expect_error(kInvalidArgument,
               [&] {
                 open(run_models_of({{"a", 30, {{0}}}}), 2);
               },
               {"a: 1 segment given", "2 stages"});
  expect_error(kInvalidArgument, [&] { open(run_models_of(models), 1); },
               {"the set uses 2 devices, but 1 given"});
}

// --- Losses

TEST(SetRun, UnusedDeviceReplacesLostOne) {
  const std::vector<FakeModel> models{{"a", 50, {{0}}}, {"b", 50, {{1}}}};
  FaultyDevices devices(testing::chain_of(1), 3);
  devices.plan(0, Fault::kError, 20);
  SetRun set(set_of(models, 2), run_models_of(models), devices.devices(), {});
  expect_all(set, models, 200);
  EXPECT_THAT(losses_of(set, 0), ElementsAre("tpu0: borrowed device tpu2"));
  EXPECT_THAT(losses_of(set, 1), ElementsAre());
  EXPECT_THAT(set.devices()[2].models, ElementsAre("a"));
  EXPECT_THAT(set.devices()[0].lost, HasSubstr("failed"));
}

// Segments that take so long that all devices of a stage get inputs.
testing::FakeBackend::Segments slow_chain() {
  auto segments = testing::chain_of(1);
  segments["0"].compute = [](auto inputs, auto& outputs) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    outputs[0] = testing::bytes_of(testing::number_in(inputs[0]) * 3);
  };
  return segments;
}

TEST(SetRun, LostDeviceIsTakenFromModelThatCanSpareIt) {
  // b could give one up too, but would then miss its demand.
  const std::vector<FakeModel> models{{"a", 60, {{0}}}, {"b", 120, {{1, 2}}}, {"c", 20, {{3, 4}}}};
  FaultyDevices devices(slow_chain(), 5);
  devices.plan(0, Fault::kVanish, 30);
  SetRun set(set_of(models, 5), run_models_of(models), devices.devices(), {});
  for (std::size_t m = 0; m < models.size(); ++m)
    testing::expect_all_in_order(*set.pipeline(m), 100, 1);
  EXPECT_THAT(losses_of(set, 0), ElementsAre("tpu0: borrowed device tpu3"));
  EXPECT_THAT(losses_of(set, 1), ElementsAre());
  EXPECT_THAT(losses_of(set, 2), ElementsAre("tpu3: the other devices of the stage (1)"));
  EXPECT_THAT(set.pipeline(2)->statistics().losses[0].reason, HasSubstr("tpu3 was taken for a"));
  EXPECT_THAT(set.devices()[3].models, ElementsAre("a"));
  EXPECT_EQ(set.devices()[3].lost, "");
}

TEST(SetRun, ModelsShareIfNoneCanGiveOneUp) {
  const std::vector<FakeModel> models{{"a", 50, {{0}}}, {"b", 30, {{1}}}, {"c", 10, {{2}}}};
  FaultyDevices devices(testing::chain_of(1), 3);
  devices.plan(0, Fault::kHang, 10);
  SetRun set(set_of(models, 3), run_models_of(models), devices.devices(),
             {.pipeline = {.watchdog = std::chrono::milliseconds(200)}});
  expect_all(set, models, 100);
  EXPECT_THAT(losses_of(set, 0), ElementsAre("tpu0: borrowed device tpu2"));
  EXPECT_THAT(losses_of(set, 2), ElementsAre());
  EXPECT_THAT(set.devices()[2].models, ElementsAre("a", "c"));
}

TEST(SetRun, NothingIsTakenWhileDemandsAreMet) {
  const std::vector<FakeModel> models{{"a", 20, {{0, 1}}}, {"b", 20, {{2, 3}}}};
  FaultyDevices devices(slow_chain(), 4);
  devices.plan(1, Fault::kError, 5);
  SetRun set(set_of(models, 4), run_models_of(models), devices.devices(), {});
  expect_all(set, models, 200);
  EXPECT_THAT(losses_of(set, 0), ElementsAre("tpu1: the other devices of the stage (1)"));
  EXPECT_THAT(losses_of(set, 1), ElementsAre());
}

TEST(SetRun, DeviceOfTwoModelsIsLostForBoth) {
  const std::vector<FakeModel> models{{"a", 40, {{0}}}, {"b", 40, {{0}}}};
  FaultyDevices devices(testing::chain_of(1), 3);
  devices.plan(0, Fault::kVanish, 25);
  SetRun set(set_of(models, 1), run_models_of(models), devices.devices(), {});
  expect_all(set, models, 200);
  EXPECT_EQ(losses_of(set, 0).size(), 1U);
  EXPECT_EQ(losses_of(set, 1).size(), 1U);
  EXPECT_THAT(set.devices()[1].models.size() + set.devices()[2].models.size(), 2U);
}

TEST(SetRun, ModelWithoutDeviceEndsAloneWithError) {
  const std::vector<FakeModel> models{{"a", 40, {{0}}}};
  FaultyDevices devices(testing::chain_of(1), 1);
  devices.plan(0, Fault::kError, 3);
  SetRun set(set_of(models, 1), run_models_of(models), devices.devices(), {});
  for (std::uint64_t i = 0; i < 2; ++i)
    (void)set.pipeline(0)->push(testing::input_of(i), std::chrono::seconds(5));
  (void)set.pipeline(0)->push(testing::input_of(2), std::chrono::seconds(5));
  PipelineResult result;
  expect_error(ErrorCode::kDevice,
               [&] {
                 while (set.pipeline(0)->pop(result) == Flow::kOk)
                   (void)set.pipeline(0)->push(testing::input_of(3), std::chrono::seconds(5));
               },
               {"no device is left"});
}

// Random faults in sets of random form: no result is lost, duplicated or reordered as long as one
// device lives.
TEST(SetRun, RandomLossesKeepAllResults) {
  std::mt19937 random(5);
  for (int round = 0; round < 25; ++round) {
    const std::uint32_t tpus = static_cast<std::uint32_t>(3 + random() % 3);
    std::vector<FakeModel> models;
    for (const char* name : {"a", "b", "c"}) {
      FakeModel model{name, std::nullopt, {{}}};
      if (random() % 3 > 0) model.rate_per_s = 1 + static_cast<double>(random() % 80);
      for (std::uint32_t t = 0; t < tpus; ++t)
        if (random() % 3 == 0) model.tpus[0].push_back(t);
      if (model.tpus[0].empty())
        model.tpus[0].push_back(static_cast<std::uint32_t>(random() % tpus));
      models.push_back(std::move(model));
    }
    FaultyDevices devices(testing::chain_of(1), tpus);
    for (std::uint32_t t = 1; t < tpus; ++t)
      devices.plan(t, random() % 2 == 0 ? Fault::kError : Fault::kVanish,
                   static_cast<int>(random() % 60));
    SetRunOptions options;
    options.pipeline.most_attempts = 100;
    SetRun set(set_of(models, tpus), run_models_of(models), devices.devices(), options);
    expect_all(set, models, 80);
  }
}

// --- Turns

TEST(SharedDevice, TurnsFollowOrderOfArrival) {
  SharedDevice device({"tpu", std::make_shared<testing::FakeBackend>(testing::chain_of(1))});
  std::vector<int> order;
  std::atomic<int> arrived = 0;
  std::vector<std::jthread> threads;
  device.open([&] {
    for (int i = 0; i < 5; ++i) {
      threads.emplace_back([&, i] {
        ++arrived;
        device.run(0, std::nullopt, [&] { order.push_back(i); });
      });
      while (arrived <= i) std::this_thread::yield();
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  });
  threads.clear();
  EXPECT_THAT(order, ElementsAre(0, 1, 2, 3, 4));
}

TEST(SharedDevice, LossEndsWaiting) {
  SharedDevice device({"tpu", std::make_shared<testing::FakeBackend>(testing::chain_of(1))});
  std::string reason;
  std::jthread waiting;
  device.open([&] {
    waiting = std::jthread([&] {
      try {
        device.run(0, std::nullopt, [] {});
      } catch (const Error& error) {
        reason = error.what();
      }
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    device.lose("it burns");
    waiting.join();
  });
  EXPECT_EQ(reason, "tpu was lost: it burns");
  EXPECT_TRUE(device.is_lost());
}

}  // namespace
}  // namespace segue
