#include "plan/internal/pipeline_pace.h"

#include <algorithm>

#include "segue/cost.h"

namespace segue {
namespace {

std::int64_t busiest_link_ns(std::span<const StageUses> stages, std::span<const DevicePool> pools) {
  std::vector<std::int64_t> busy(pools.size());
  for (const StageUses& stage : stages) {
    const auto shares = shares_of(stage);
    for (std::size_t kind = 0; kind < stage.size(); ++kind) {
      if (pools[stage[kind].pool].shares_link)
        busy[stage[kind].pool] += stage_busy_ns(shares, kind, stage[kind].link_ns);
    }
  }
  return std::ranges::max(busy);
}

std::int64_t host_period_ns(std::span<const StageUses> stages, std::span<const DevicePool> pools,
                            std::int64_t decoding_ns) {
  std::int64_t work_ns = decoding_ns;
  for (const StageUses& stage : stages) {
    const auto shares = shares_of(stage);
    for (std::size_t kind = 0; kind < stage.size(); ++kind)
      work_ns += stage_busy_ns(shares, kind, stage[kind].host_ns);
  }
  return work_ns / static_cast<std::int64_t>(host_cores(pools));
}

double host_ns_of(std::span<const PacedStage> stages) {
  double host_ns = 0;
  for (const PacedStage& stage : stages) host_ns += stage.host_ns;
  return host_ns;
}

}  // namespace

std::vector<StageShare> shares_of(const StageUses& stage) {
  std::vector<StageShare> shares;
  for (const StageUse& use : stage) shares.push_back(use.share);
  return shares;
}

std::int64_t pipeline_period_ns(std::span<const StageUses> stages,
                                std::span<const DevicePool> pools, std::int64_t decoding_ns) {
  std::int64_t slowest_ns = std::max(
      {busiest_link_ns(stages, pools), host_period_ns(stages, pools, decoding_ns), decoding_ns});
  for (const StageUses& stage : stages)
    slowest_ns = std::max(slowest_ns, stage_period_ns(shares_of(stage)));
  return slowest_ns;
}

std::int64_t pipeline_latency_ns(std::span<const StageUses> stages, std::int64_t hop_ns,
                                 std::int64_t decoding_ns) {
  std::int64_t sum_ns = decoding_ns;
  for (const StageUses& stage : stages) sum_ns += stage_latency_ns(shares_of(stage)) + hop_ns;
  return sum_ns;
}

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
