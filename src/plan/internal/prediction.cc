#include "plan/internal/prediction.h"

#include <algorithm>
#include <cmath>

#include "plan/internal/network.h"
#include "plan/internal/pipeline_pace.h"

namespace segue {
namespace {

enum class End { kPredicted, kLow, kHigh };

std::int64_t scaled(std::int64_t ns, double factor) {
  return std::llround(static_cast<double>(ns) * factor);
}

// Returns the time of operators on the host at an end of the range: the rest of the stage's range,
// limited by kHostOperatorFactors.
std::int64_t host_end_ns(const StageDevices& kind, std::int64_t end_ns, End end) {
  const std::int64_t host_ns = kind.time.host.count();
  const std::int64_t left_ns = end_ns - (kind.time.total().count() - host_ns);
  return end == End::kLow ? std::max(left_ns, scaled(host_ns, kHostOperatorFactors.low))
                          : std::min(left_ns, scaled(host_ns, kHostOperatorFactors.high));
}

// The range of a stage on an unknown host already contains the stretch of a busy host.
double stretch_beyond_range(const DeviceSpec& device, double stretch) {
  const double in_range = host_knowledge(device) == HostKnowledge::kUnknown
                              ? std::max(kMostHostStretch, device.timing.busy_stretch.value)
                              : 1;
  return std::max(0.0, stretch - in_range);
}

// With several kinds of devices, their shares of the inputs differ at the ends of their ranges, so
// an end may be on the wrong side of the time. The range always includes the time.
TimeRange around(Nanoseconds time, Nanoseconds low, Nanoseconds high) {
  return {std::min(low, time), std::max(high, time)};
}

StageUse load_of(const StageDevices& kind, const DeviceSpec& device, End end, double stretch) {
  const std::int64_t total_ns = kind.time.total().count();
  StageUse load{
      kind.pool, {kind.replicas, total_ns}, kind.time.link().count(), kind.time.host.count()};
  const auto host_share = static_cast<double>(host_share_of_output(kind.time, device).count());
  if (end == End::kPredicted) {
    load.share.time_ns += std::llround((stretch - 1) * host_share);
    return load;
  }
  const std::int64_t end_ns = (end == End::kLow ? kind.range->low : kind.range->high).count();
  const double factor =
      total_ns > 0 ? static_cast<double>(end_ns) / static_cast<double>(total_ns) : 1;
  load.share.time_ns =
      end_ns + std::llround(stretch_beyond_range(device, stretch) * host_share * factor);
  load.link_ns = scaled(load.link_ns, factor);
  load.host_ns = host_end_ns(kind, end_ns, end);
  return load;
}

std::vector<StageUses> loads_of(std::span<const Stage> stages, std::span<const DevicePool> pools,
                                End end, double stretch) {
  std::vector<StageUses> result;
  for (const Stage& stage : stages) {
    StageUses& loads = result.emplace_back();
    for (const StageDevices& kind : devices_of(stage))
      loads.push_back(load_of(kind, pools[kind.pool].device, end, stretch));
  }
  return result;
}

bool uses_several_devices(std::span<const Stage> stages) {
  return stages.size() > 1 || stages[0].replicas > 1;
}

// A stage on devices of several kinds is modelled as the same number of equal devices with its
// period.
PacedStage paced(const Stage& stage, const StageUses& loads, std::span<const DevicePool> pools) {
  PacedStage result;
  for (const StageDevices& kind : devices_of(stage)) {
    const Nanoseconds share = host_share_of_output(kind.time, pools[kind.pool].device);
    result.host_ns = std::max(result.host_ns, static_cast<double>(share.count()));
  }
  result.devices = stage.replicas;
  result.device_ns =
      static_cast<double>(stage_period_ns(shares_of(loads))) * stage.replicas - result.host_ns;
  return result;
}

// Without the processors, which belong to the nodes of a network.
std::vector<StageUses> on_devices(std::vector<StageUses> stages) {
  for (StageUses& stage : stages) {
    for (StageUse& use : stage) use.host_ns = 0;
  }
  return stages;
}

bool has_ranges(std::span<const Stage> stages) {
  return std::ranges::all_of(stages, [](const Stage& stage) {
    return stage.range && std::ranges::all_of(stage.devices, [](const auto& kind) {
             return kind.range.has_value();
           });
  });
}

}  // namespace

double host_stretch(std::span<const Stage> stages, std::span<const DevicePool> pools) {
  const HostPace pace = host_pace(pools);
  if (pace.most_stretch <= 1 || !uses_several_devices(stages)) return 1;
  const auto loads = loads_of(stages, pools, End::kPredicted, 1);
  std::vector<PacedStage> all;
  for (std::size_t i = 0; i < stages.size(); ++i) all.push_back(paced(stages[i], loads[i], pools));
  return host_stretch(all, pace);
}

RateRange PredictionRange::throughput_per_s() const {
  const auto rate = [](Nanoseconds time) { return time.count() > 0 ? 1 / to_s(time) : 0.0; };
  return {rate(bottleneck.high), rate(bottleneck.low)};
}

std::vector<StageDevices> devices_of(const Stage& stage) {
  if (!stage.devices.empty()) return stage.devices;
  return {{0, stage.replicas, stage.time, stage.range}};
}

Prediction predict(std::span<const Stage> stages, Nanoseconds single_device,
                   std::span<const DevicePool> pools, const std::optional<Decoding>& decoding,
                   const std::optional<PlanNetwork>& network) {
  const Decoding decode = decoding.value_or(Decoding{});
  const NetworkPart part(stages, pools, network);
  const auto bottleneck_of = [&](const std::vector<StageUses>& loads, Nanoseconds decoding_time) {
    const std::int64_t decoding_ns = decoding_time.count();
    if (!part.exists()) return Nanoseconds(pipeline_period_ns(loads, pools, decoding_ns));
    return Nanoseconds(
        std::max(pipeline_period_ns(on_devices(loads), pools, decoding_ns), part.period_ns(loads)));
  };
  const bool is_pipeline = uses_several_devices(stages);
  const std::int64_t hop_ns = is_pipeline ? runner_hop(pools).count() : 0;
  const auto latency_of = [&](const std::vector<StageUses>& loads, Nanoseconds decoding_time) {
    return Nanoseconds(pipeline_latency_ns(loads, hop_ns, decoding_time.count()) +
                       part.latency_ns());
  };
  const double stretch = host_stretch(stages, pools);
  Prediction result;
  result.single_device = single_device;
  result.bottleneck = bottleneck_of(loads_of(stages, pools, End::kPredicted, stretch), decode.time);
  result.latency = latency_of(loads_of(stages, pools, End::kPredicted, 1), decode.time);
  if (result.bottleneck.count() > 0) {
    result.throughput_per_s = 1 / to_s(result.bottleneck);
    result.speedup = to_s(single_device) / to_s(result.bottleneck);
  }
  if (!has_ranges(stages)) return result;
  // If the stretch of the host is described, the host is as slow as described. Otherwise, only the
  // largest stretch is known.
  const bool is_described = host_pace(pools).most_stretch > 1;
  const double most = is_pipeline && !is_described ? kMostHostStretch : stretch;
  const auto [low, high] = decode.range;
  result.range = PredictionRange{
      around(result.bottleneck, bottleneck_of(loads_of(stages, pools, End::kLow, stretch), low),
             bottleneck_of(loads_of(stages, pools, End::kHigh, most), high)),
      around(result.latency, latency_of(loads_of(stages, pools, End::kLow, 1), low),
             latency_of(loads_of(stages, pools, End::kHigh, 1), high))};
  return result;
}

}  // namespace segue
