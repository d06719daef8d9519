#include "plan/internal/host_pace.h"

#include <algorithm>

namespace segue {

namespace {

double host_ns_of(std::span<const PacedStage> stages) {
  double host_ns = 0;
  for (const PacedStage& stage : stages) host_ns += stage.host_ns;
  return host_ns;
}

}  // namespace

HostPace host_pace(std::span<const DevicePool> pools) {
  HostPace slowest{pools[0].device.timing.busy_stretch.value,
                   pools[0].device.timing.busy_cores.value};
  for (const DevicePool& pool : pools) {
    slowest.most_stretch = std::max(slowest.most_stretch, pool.device.timing.busy_stretch.value);
    slowest.busy_cores = std::min(slowest.busy_cores, pool.device.timing.busy_cores.value);
  }
  return slowest;
}

double paced_period_ns(std::span<const PacedStage> stages, const HostPace& pace) {
  const double host_ns = host_ns_of(stages);
  const auto period = [&](double stretch) {
    double slowest = 0;
    for (const PacedStage& stage : stages)
      slowest = std::max(slowest, (stage.device_ns + stretch * stage.host_ns) / stage.devices);
    return slowest;
  };
  if (pace.busy_cores * period(1) <= host_ns) return period(1);
  if (pace.busy_cores * period(pace.most_stretch) >= pace.most_stretch * host_ns)
    return period(pace.most_stretch);
  // Between the two limits of the stretch, each stage has the period device_ns / (devices -
  // busy_cores * its share).
  double slowest = 0;
  for (const PacedStage& stage : stages) {
    const double left = stage.devices - pace.busy_cores * stage.host_ns / host_ns;
    if (left > 0) slowest = std::max(slowest, stage.device_ns / left);
  }
  return slowest;
}

double host_stretch(std::span<const PacedStage> stages, const HostPace& pace) {
  const double host_ns = host_ns_of(stages);
  if (host_ns <= 0) return 1;
  return std::clamp(pace.busy_cores * paced_period_ns(stages, pace) / host_ns, 1.0,
                    pace.most_stretch);
}

}  // namespace segue
