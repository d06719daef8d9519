#include "plan/prediction.h"

#include <algorithm>

#include "simulator/stage_pace.h"

namespace segue {
namespace {

std::vector<StageShare> shares_of(std::span<const StageDevices> devices) {
  std::vector<StageShare> shares;
  for (const StageDevices& kind : devices)
    shares.push_back({kind.replicas, kind.time.total().count()});
  return shares;
}

// The link that the devices of a pool share is busy for each input at every stage they run.
std::int64_t busiest_link_ns(std::span<const Stage> stages, std::span<const DevicePool> pools) {
  std::vector<std::int64_t> busy(pools.size());
  for (const Stage& stage : stages) {
    const auto devices = devices_of(stage);
    for (std::size_t kind = 0; kind < devices.size(); ++kind) {
      if (!pools[devices[kind].pool].shares_link) continue;
      busy[devices[kind].pool] +=
          stage_busy_ns(shares_of(devices), kind, devices[kind].time.link().count());
    }
  }
  return std::ranges::max(busy);
}

// The host's cores compute the operators of all stages, each one at a time.
Nanoseconds host_period(std::span<const Stage> stages, std::span<const DevicePool> pools) {
  Nanoseconds work{0};
  for (const Stage& stage : stages) {
    const auto devices = devices_of(stage);
    for (std::size_t kind = 0; kind < devices.size(); ++kind) {
      work += Nanoseconds(stage_busy_ns(shares_of(devices), kind, devices[kind].time.host.count()));
    }
  }
  return work / static_cast<std::int64_t>(host_cores(pools));
}

}  // namespace

std::vector<StageDevices> devices_of(const Stage& stage) {
  if (!stage.devices.empty()) return stage.devices;
  return {{0, stage.replicas, stage.time}};
}

Prediction predict(std::span<const Stage> stages, Nanoseconds single_device,
                   std::span<const DevicePool> pools) {
  const bool has_hops = stages.size() > 1 || stages[0].replicas > 1;
  const Nanoseconds hop = has_hops ? runner_hop(pools) : Nanoseconds(0);
  Prediction result;
  result.single_device = single_device;
  result.bottleneck =
      std::max(Nanoseconds(busiest_link_ns(stages, pools)), host_period(stages, pools));
  for (const Stage& stage : stages) {
    const auto shares = shares_of(devices_of(stage));
    result.bottleneck = std::max(result.bottleneck, Nanoseconds(stage_period_ns(shares)));
    result.latency += Nanoseconds(stage_latency_ns(shares)) + hop;
  }
  if (result.bottleneck.count() > 0) {
    result.throughput_per_s = 1 / to_s(result.bottleneck);
    result.speedup = to_s(single_device) / to_s(result.bottleneck);
  }
  return result;
}

}  // namespace segue
