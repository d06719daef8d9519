// Sets of models with files, on the CPU: results, new plans after a loss, and simulated times.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "fake_backend.h"
#include "fake_set.h"
#include "segue/planner.h"
#include "segue/set_run.h"

namespace segue {
namespace {

using testing::conv_chain;
using testing::expect_whole_results;
using ::testing::HasSubstr;
using testing::losses_of;
using testing::set_of;

std::shared_ptr<const Backend> set_cpu() {
  return make_cpu_backend({.libraries = {SEGUE_TEST_RUNTIME}});
}

// A set of two models: "a" in two stages, "b" whole, with what both compute without a set.
class RealSet : public ::testing::Test {
 protected:
  RealSet() {
    for (const auto& model : models_) graphs_.push_back(std::make_unique<const Graph>(*model));
  }

  [[nodiscard]] Plan plan_of(std::size_t model, std::uint32_t tpus) const {
    const DevicePool pool{find_device("edgetpu-pcie"), tpus, false};
    return plan_by_strategy(*graphs_[model], std::span(&pool, 1), Strategy::kBalanced).plan;
  }

  // Stage s of "a" on TPU s, "b" on `tpu_of_b`.
  [[nodiscard]] SetPlan set_plan(std::uint32_t tpu_of_b, std::uint32_t count) const {
    SetPlan plan = set_of({{"a", 20, {{0}, {1}}}, {"b", 20, {{tpu_of_b}}}}, count);
    plan.models[0].plan = plan_of(0, 2);
    plan.models[1].plan = plan_of(1, 1);
    return plan;
  }

  // "a" on two TPUs with much time to spare, "b" on the third with little.
  [[nodiscard]] SetPlan uneven_plan() const {
    SetPlan plan = set_plan(2, 3);
    plan.models[0].demand.rate_per_s = plan.models[0].rate_per_s = 1;
    plan.models[1].demand.rate_per_s = plan.models[1].rate_per_s = 85;
    return plan;
  }

  void expect_results(SetRun& set, std::size_t model, std::uint64_t inputs) const {
    expect_whole_results(*set.pipeline(model), *models_[model], inputs);
  }

  std::vector<std::shared_ptr<const Model>> models_{conv_chain("a", 6, 4), conv_chain("b", 3, 8)};
  std::vector<std::unique_ptr<const Graph>> graphs_;
};
using SetRunOfModels = RealSet;

TEST_F(SetRunOfModels, ResultsEqualWholeModels) {
  const SetPlan plan = set_plan(1, 2);
  SetRun set(plan, set_run_models(plan, models_), testing::devices_with(2, set_cpu()), {});
  std::jthread other([&] { expect_results(set, 1, 60); });
  expect_results(set, 0, 60);
}

// Devices of the CPU that refuse to compute after some inferences.
class Ending : public Backend {
 public:
  Ending(std::shared_ptr<const Backend> computes, int runs)
      : computes_(std::move(computes)), left_(std::make_shared<std::atomic<int>>(runs)) {}
  [[nodiscard]] std::string description() const override { return computes_->description(); }
  [[nodiscard]] std::unique_ptr<Session> open(std::span<const std::byte> model,
                                              const std::string& name) const override {
    return std::make_unique<EndingSession>(computes_->open(model, name), left_);
  }

 private:
  class EndingSession : public Session {
   public:
    EndingSession(std::unique_ptr<Session> session, std::shared_ptr<std::atomic<int>> left)
        : session_(std::move(session)), left_(std::move(left)) {}
    [[nodiscard]] std::span<const Port> inputs() const override { return session_->inputs(); }
    [[nodiscard]] std::span<const Port> outputs() const override { return session_->outputs(); }
    void run_into(std::span<const std::span<const std::byte>> inputs,
                  std::vector<TensorBytes>& outputs) override {
      if ((*left_)-- <= 0) throw Error(ErrorCode::kDevice, "the device has ended");
      session_->run_into(inputs, outputs);
    }

   private:
    std::unique_ptr<Session> session_;
    std::shared_ptr<std::atomic<int>> left_;
  };

  std::shared_ptr<const Backend> computes_;
  std::shared_ptr<std::atomic<int>> left_;
};

// "a" is planned for the TPU that is left, because its demands are met there.
TEST_F(SetRunOfModels, ModelIsPlannedForRemainingDevices) {
  SetPlan plan = set_plan(2, 3);
  plan.models[0].demand.rate_per_s = plan.models[0].rate_per_s = 1;
  auto devices = testing::devices_with(3, set_cpu());
  devices[1].backend = std::make_shared<Ending>(set_cpu(), 20);
  SetRun set(plan, set_run_models(plan, models_), devices, {});
  std::jthread other([&] { expect_results(set, 1, 60); });
  expect_results(set, 0, 60);
  const PipelineStatistics statistics = set.pipeline(0)->statistics();
  ASSERT_EQ(statistics.losses.size(), 1U);
  EXPECT_EQ(statistics.losses[0].remedy, "a new plan for 1 device");
  EXPECT_EQ(statistics.layouts, 2U);
}

TEST_F(SetRunOfModels, SetAnswersDuringCompilation) {
  SetPlan plan = set_plan(2, 3);
  plan.models[0].demand.rate_per_s = plan.models[0].rate_per_s = 1;
  auto devices = testing::devices_with(3, set_cpu());
  devices[1].backend = std::make_shared<Ending>(set_cpu(), 0);
  SetRun* running = nullptr;
  std::atomic<bool> has_answered = false;
  SetRunOptions options;
  options.cut = [&](const Model& model, const Plan& of) {
    const auto answer = std::make_shared<std::promise<void>>();
    std::thread([&, answer] {
      static_cast<void>(running->devices());
      answer->set_value();
    }).detach();
    has_answered =
        answer->get_future().wait_for(std::chrono::seconds(10)) == std::future_status::ready;
    return std::optional(pipeline_layout(model, of));
  };
  SetRun set(plan, set_run_models(plan, models_), devices, options);
  running = &set;
  expect_results(set, 0, 5);
  EXPECT_TRUE(has_answered);
}

// The last of three devices ends after some inferences.
std::vector<PipelineDevice> devices_without_last() {
  auto devices = testing::devices_with(3, set_cpu());
  devices[2].backend = std::make_shared<Ending>(set_cpu(), 20);
  return devices;
}

// "b" loses its only TPU; "a", which has time to spare, is planned for one TPU fewer.
TEST_F(SetRunOfModels, DonorIsPlannedForFewerDevices) {
  const SetPlan plan = uneven_plan();
  const auto devices = devices_without_last();
  SetRun set(plan, set_run_models(plan, models_), devices, {});
  expect_results(set, 1, 60);
  expect_results(set, 0, 60);
  ASSERT_EQ(losses_of(set, 1).size(), 1U);
  EXPECT_THAT(losses_of(set, 1)[0], HasSubstr("tpu2: borrowed device tpu"));
  ASSERT_EQ(losses_of(set, 0).size(), 1U);
  EXPECT_THAT(losses_of(set, 0)[0], HasSubstr("a new plan for 1 device"));
}

// As above, but "a" cannot be planned again, so it keeps its TPUs, and "b" joins it on one.
TEST_F(SetRunOfModels, ModelWithoutFileIsNoDonor) {
  const SetPlan plan = uneven_plan();
  const auto devices = devices_without_last();
  auto run_models = set_run_models(plan, models_);
  for (SetRunModel& model : run_models) model.model.reset();
  SetRun set(plan, run_models, devices, {});
  expect_results(set, 1, 60);
  expect_results(set, 0, 60);
  EXPECT_EQ(losses_of(set, 1).size(), 1U);
  EXPECT_TRUE(losses_of(set, 0).empty());
}

TEST_F(SetRunOfModels, SimulatedTimesIncludeReloads) {
  SetPlan plan = set_plan(1, 2);
  plan.tpus[1].sharing = Sharing::kSwapped;
  for (SetTpu& tpu : plan.tpus) {
    for (Resident& resident : tpu.residents) resident.time = std::chrono::milliseconds(1);
  }
  for (Resident& resident : plan.tpus[1].residents) resident.reload = std::chrono::milliseconds(4);
  SetRun set(plan, set_run_models(plan, models_), testing::devices_with(2, set_cpu()),
             {.time_scale = 1});
  {
    std::jthread other([&] { expect_results(set, 1, 40); });
    expect_results(set, 0, 40);
  }
  const auto devices = set.devices();
  EXPECT_EQ(devices[0].changes, 0U);
  EXPECT_GE(devices[1].changes, 1U);
  EXPECT_GE(devices[1].busy,
            std::chrono::milliseconds(80) +
                static_cast<std::int64_t>(devices[1].changes) * std::chrono::milliseconds(4));
}

}  // namespace
}  // namespace segue
