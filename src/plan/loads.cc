#include "plan/internal/network.h"
#include "plan/internal/prediction.h"
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
    case Activity::kHostWork:
      return "host";
  }
  return "unknown";
}

std::uint64_t StageLoad::results_meanwhile() const {
  Nanoseconds slowest{1};
  for (const SegmentTime& of_replica : replica_times)
    slowest = std::max(slowest, of_replica.total());
  std::uint64_t count = 0;
  for (const SegmentTime& of_replica : replica_times) {
    const Nanoseconds total = std::max(of_replica.total(), Nanoseconds(1));
    count += static_cast<std::uint64_t>((slowest + total - Nanoseconds(1)) / total - 1);
  }
  return count;
}

std::vector<StageLoad> stage_loads(const Plan& plan) {
  std::vector<StageLoad> loads;
  for (const Stage& stage : plan.stages) {
    StageLoad& load = loads.emplace_back(StageLoad{stage.time, stage.replicas});
    for (const StageDevices& devices : stage.devices)
      load.replica_times.insert(load.replica_times.end(), devices.replicas, devices.time);
  }
  if (plan.decoding) loads.push_back({.time = {.host = plan.decoding->time}, .is_on_host = true});
  return loads;
}

TimelineOptions timeline_options(std::span<const StageLoad> stages, const DeviceSpec& device) {
  TimelineOptions options;
  std::uint64_t devices = 0;
  for (const StageLoad& stage : stages) devices += stage.is_on_host ? 0 : stage.replicas;
  if (devices > 1) options.hop = runner_hop(device.timing);
  options.host_cores = static_cast<std::uint32_t>(device.host.cores.value);
  return options;
}

namespace {

std::vector<BoundaryTransfer> network_of(const Plan& plan, std::span<const DevicePool> pools) {
  const NetworkLaw law(plan.network->topology, pools);
  std::vector<BoundaryTransfer> result;
  const auto transfers = transfers_of(law, plan.stages, pools.size());
  for (std::size_t b = 0; b < transfers.size(); ++b) {
    const std::uint64_t bytes = plan.network->boundary_bytes.at(b);
    BoundaryTransfer& transfer = result.emplace_back();
    transfer.latency = Nanoseconds(transfers[b].latency_ns(bytes));
    for (std::size_t r = 0; r < law.resources(); ++r) {
      if (const std::int64_t busy_ns = transfers[b].busy_ns(r, bytes); busy_ns > 0)
        transfer.uses.push_back({r, Nanoseconds(busy_ns)});
    }
  }
  return result;
}

}  // namespace

TimelineOptions timeline_options(const Plan& plan, std::span<const DevicePool> pools) {
  TimelineOptions options;
  if (plan.device_count() > 1) options.hop = runner_hop(pools);
  options.host_cores = host_cores(pools);
  options.host_stretch = host_stretch(plan.stages, pools);
  if (plan.network) {
    options.network = network_of(plan, pools);
    options.host_cores = 0;
    for (const TopologyNode& node : plan.network->topology.nodes) options.host_cores += node.cores;
  }
  std::vector<SharedLink> links(pools.size());
  std::uint32_t device = 0;
  for (const PoolCounts& counts : devices_of(plan, pools.size())) {
    for (std::size_t pool = 0; pool < pools.size(); ++pool) {
      for (std::uint32_t n = 0; n < counts[pool]; ++n) links[pool].devices.push_back(device++);
    }
  }
  for (std::size_t pool = 0; pool < pools.size(); ++pool) {
    if (pools[pool].shares_link) options.shared.push_back(std::move(links[pool]));
  }
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
