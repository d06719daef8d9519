#include "segue/timeline.h"

namespace segue {

std::string_view to_string(Activity activity) {
  switch (activity) {
    case Activity::kHop:
      return "hop";
    case Activity::kRequest:
      return "request";
    case Activity::kInput:
      return "input";
    case Activity::kCompute:
      return "compute";
    case Activity::kStreaming:
      return "streaming";
    case Activity::kOutput:
      return "output";
    case Activity::kRelayout:
      return "relayout";
  }
  return "unknown";
}

std::vector<StageLoad> stage_loads(const Plan& plan) {
  std::vector<StageLoad> loads;
  for (const Stage& stage : plan.stages) loads.push_back({stage.time, stage.replicas});
  return loads;
}

TimelineOptions timeline_options(std::span<const StageLoad> stages, const DeviceSpec& device) {
  TimelineOptions options;
  const bool has_runner = stages.size() > 1 || (!stages.empty() && stages[0].replicas > 1);
  if (has_runner) options.hop = runner_hop(device.timing);
  return options;
}

Nanoseconds Timeline::time_per_input() const {
  return makespan / static_cast<std::int64_t>(results.size());
}

Nanoseconds Timeline::steady_period() const {
  const std::size_t first = results.size() / 2;
  if (first + 1 >= results.size()) return time_per_input();
  return (results.back() - results[first]) / static_cast<std::int64_t>(results.size() - 1 - first);
}

}  // namespace segue
