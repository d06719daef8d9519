// Sets that are made by hand, with numbers that follow from times and rates.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

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

}  // namespace segue::testing
