// Sets that are made by hand, with numbers that follow from times and rates.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "model_builder.h"
#include "segue/runtime.h"
#include "segue/set_run.h"

namespace segue::testing {

struct FakeModel {
  std::string name;
  std::optional<double> rate_per_s;
  std::vector<std::vector<std::uint32_t>> tpus;  // of each stage
  Nanoseconds time = std::chrono::milliseconds(10);
};

// A set on `count` TPUs, with all numbers that follow from times and rates.
inline SetPlan set_of(const std::vector<FakeModel>& models, std::uint32_t count) {
  SetPlan plan;
  plan.device = {"edgetpu-pcie", count};
  plan.headroom = 0.1;
  plan.tpus.resize(count);
  for (std::uint32_t m = 0; m < models.size(); ++m) {
    SetModel& model = plan.models.emplace_back();
    model.demand = {.name = models[m].name, .rate_per_s = models[m].rate_per_s};
    model.rate_per_s = models[m].rate_per_s.value_or(20);
    model.tpus = models[m].tpus;
    for (std::uint32_t s = 0; s < model.tpus.size(); ++s) {
      Stage& stage = model.plan.stages.emplace_back();
      stage.replicas = static_cast<std::uint32_t>(model.tpus[s].size());
      stage.time.compute = models[m].time;
      for (const std::uint32_t t : model.tpus[s])
        plan.tpus[t].residents.push_back({m, s, 0, 0, models[m].time, Nanoseconds(0)});
    }
  }
  return plan;
}

// "tpu0: what replaced it"
inline std::vector<std::string> losses_of(const SetRun& set, std::size_t model) {
  std::vector<std::string> result;
  for (const DeviceLoss& loss : set.pipeline(model)->statistics().losses)
    result.push_back(loss.device + ": " + loss.remedy);
  return result;
}

// A chain of 3x3 convolutions on 8x8 pixels.
inline std::shared_ptr<const Model> conv_chain(const std::string& name, int layers, int channels) {
  ModelBuilder b;
  auto tensor = b.input("x", {1, 8, 8, channels});
  for (int i = 0; i < layers; ++i) tensor = b.conv(tensor, "t" + std::to_string(i), channels, 3);
  b.output(tensor);
  return std::make_shared<const Model>(parse_model(b.bytes(), name));
}

// Runs random inputs through a pipeline and expects the results of the whole model, in order.
inline void expect_whole_results(Pipeline& pipeline, const Model& whole, std::uint64_t inputs) {
  const auto session =
      make_cpu_backend({.libraries = {SEGUE_TEST_RUNTIME}})->open(whole.bytes(), whole.name());
  std::jthread producer([&] {
    for (std::uint64_t i = 0; i < inputs; ++i)
      ASSERT_EQ(pipeline.push(random_inputs(pipeline.inputs(), i)), Flow::kOk);
    pipeline.close();
  });
  PipelineResult result;
  std::uint64_t next = 0;
  for (; pipeline.pop(result) == Flow::kOk; ++next) {
    const auto values = random_inputs(session->inputs(), next);
    const std::vector<std::span<const std::byte>> spans(values.begin(), values.end());
    ASSERT_EQ(result.number, next);
    ASSERT_EQ(result.outputs, session->run(spans));
  }
  EXPECT_EQ(next, inputs);
}

}  // namespace segue::testing
