// Computes the period and the latency of a pipeline from the times of its stages, and how a host
// that serves several stages at once slows them down. Predictions and searches share these
// functions.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "device/edgetpu/internal/stage_pace.h"
#include "segue/device.h"

namespace segue {

// The time that the devices of one kind need for an input of their stage.
struct StageUse {
  std::uint32_t pool = 0;
  StageShare share;
  std::int64_t link_ns = 0;
  std::int64_t host_ns = 0;  // operators on the host
};
using StageUses = std::vector<StageUse>;  // the kinds of devices of a stage

[[nodiscard]] std::vector<StageShare> shares_of(const StageUses& stage);

// Returns the time between two results. It is determined by the slowest stage, by a link that the
// devices of a pool share, by decoding on the host after the last stage, or by the host's cores,
// which compute the operators of all stages and decode. O(stages * pools).
[[nodiscard]] std::int64_t pipeline_period_ns(std::span<const StageUses> stages,
                                              std::span<const DevicePool> pools,
                                              std::int64_t decoding_ns = 0);

// Returns the latency of one input through all stages. The hand-over to decoding takes a few
// microseconds and is neglected.
[[nodiscard]] std::int64_t pipeline_latency_ns(std::span<const StageUses> stages,
                                               std::int64_t hop_ns, std::int64_t decoding_ns = 0);

// A busy host stretches its share of outputs by at most `most_stretch`. It does not stretch it
// further than needed to keep `busy_cores` of its cores busy at the pace of a benchmark.
struct HostPace {
  double most_stretch = 1;  // 1: nothing is stretched
  double busy_cores = 1;
};

// Returns the slowest of several descriptions of the same host.
[[nodiscard]] HostPace host_pace(std::span<const DevicePool> pools);

// One stage on equal devices, for one input.
struct PacedStage {
  double device_ns = 0;  // all but the host's share
  double host_ns = 0;    // the host's share of its output, at full pace
  std::uint32_t devices = 1;
};

// Returns the time between two results: the largest (device_ns + x host_ns) / devices over the
// stages, where x = busy_cores * period / (sum of host_ns), at least 1 and at most `most_stretch`.
// This has one solution, which is found without iteration. O(stages). docs/cost-model.md,
// "Pipelines", has the source of the formula and of its two constants, which come from one measured
// host.
[[nodiscard]] double paced_period_ns(std::span<const PacedStage> stages, const HostPace& pace);

// Returns the x of that period, or 1 if the host has no share.
[[nodiscard]] double host_stretch(std::span<const PacedStage> stages, const HostPace& pace);

}  // namespace segue
