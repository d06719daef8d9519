// A set of models on shared TPUs, event by event: periodic inputs, one queue per TPU in order of
// arrival, no interruption. Models with TPUs of their own are left out.
#pragma once

#include <algorithm>
#include <map>
#include <queue>
#include <random>
#include <tuple>
#include <vector>

#include "segue/cost.h"
#include "segue/plan_set.h"

namespace segue::testing {

struct SimulatedSet {
  std::vector<double> longest_ns;  // by model; 0: not simulated
  std::vector<double> busy;        // by TPU: share of the time
};

/// `phases`: when each model's first input arrives, as a share of its period.
inline SimulatedSet simulate_set(const SetPlan& plan, double seconds,
                                 std::span<const double> phases, double hop_ns) {
  struct Job {
    double time = 0;
    std::size_t model = 0;
    std::size_t number = 0;
    std::size_t stage = 0;
    double begin = 0;
    bool operator>(const Job& other) const {
      return std::tie(time, stage, model) > std::tie(other.time, other.stage, other.model);
    }
  };
  std::priority_queue<Job, std::vector<Job>, std::greater<>> jobs;
  for (std::size_t m = 0; m < plan.models.size(); ++m) {
    if (plan.tpus[plan.models[m].tpus[0][0]].residents.size() < 2) continue;
    const double period = 1e9 / plan.models[m].rate_per_s;
    for (std::size_t n = 0; (static_cast<double>(n) + phases[m]) * period < seconds * 1e9; ++n) {
      const double at = (static_cast<double>(n) + phases[m]) * period;
      jobs.push({at, m, n, 0, at});
    }
  }
  SimulatedSet run{std::vector<double>(plan.models.size()), std::vector<double>(plan.tpus.size())};
  std::vector<double> free_at(plan.tpus.size());
  std::vector<std::size_t> last(plan.tpus.size(), plan.models.size());
  while (!jobs.empty()) {
    Job job = jobs.top();
    jobs.pop();
    const auto& places = plan.models[job.model].tpus[job.stage];
    const std::uint32_t tpu = places[job.number % places.size()];
    const auto& residents = plan.tpus[tpu].residents;
    const auto& resident = *std::ranges::find_if(
        residents, [&](const Resident& one) { return one.model == job.model; });
    // Parameters are loaded again only after another model.
    const Nanoseconds time =
        resident.time + (last[tpu] == job.model ? Nanoseconds(0) : resident.reload);
    last[tpu] = job.model;
    const double begin = std::max(job.time, free_at[tpu]);
    free_at[tpu] = begin + static_cast<double>(time.count());
    run.busy[tpu] += static_cast<double>(time.count()) / (seconds * 1e9);
    job.time = free_at[tpu] + hop_ns;
    if (++job.stage < plan.models[job.model].tpus.size()) {
      jobs.push(job);
    } else {
      run.longest_ns[job.model] = std::max(run.longest_ns[job.model], job.time - job.begin);
    }
  }
  return run;
}

}  // namespace segue::testing
