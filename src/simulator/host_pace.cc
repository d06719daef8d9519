#include "simulator/host_pace.h"

#include <algorithm>

namespace segue {

double paced_period_ns(std::span<const PacedStage> stages, const HostPace& pace) {
  double host_ns = 0;
  for (const PacedStage& stage : stages) host_ns += stage.host_ns;
  const auto period = [&](double stretch) {
    double slowest = 0;
    for (const PacedStage& stage : stages)
      slowest = std::max(slowest, (stage.device_ns + stretch * stage.host_ns) / stage.devices);
    return slowest;
  };
  if (pace.busy_cores * period(1) <= host_ns) return period(1);
  if (pace.busy_cores * period(pace.most_stretch) >= pace.most_stretch * host_ns)
    return period(pace.most_stretch);
  // In between, each stage's own line: period = device_ns / (devices - busy_cores * its share).
  double slowest = 0;
  for (const PacedStage& stage : stages) {
    const double left = stage.devices - pace.busy_cores * stage.host_ns / host_ns;
    if (left > 0) slowest = std::max(slowest, stage.device_ns / left);
  }
  return slowest;
}

}  // namespace segue
