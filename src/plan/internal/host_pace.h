// How a host that serves several stages at once slows them down.
#pragma once

#include <cstdint>
#include <span>

#include "segue/device.h"

namespace segue {

// A host that stretches its share of outputs while it is busy: by `most_stretch` at most, and no
// further than keeps `busy_cores` of its cores busy at the pace of a benchmark.
struct HostPace {
  double most_stretch = 1;  // 1: nothing is stretched
  double busy_cores = 1;
};

// The slowest of several descriptions of the one host.
[[nodiscard]] HostPace host_pace(std::span<const DevicePool> pools);

// One stage on equal devices, for one input.
struct PacedStage {
  double device_ns = 0;  // all but the host's share
  double host_ns = 0;    // the host's share of its output, at full pace
  std::uint32_t devices = 1;
};

// Between two results: the largest (device_ns + x host_ns) / devices over the stages, where
// x = busy_cores * period / (sum of host_ns), at least 1 and at most `most_stretch`. One solution,
// found without iteration. O(stages). Source of the law, and of its two constants for one measured
// host: docs/cost-model.md, "Pipelines".
[[nodiscard]] double paced_period_ns(std::span<const PacedStage> stages, const HostPace& pace);

// The x of that period; 1 where the host has no share.
[[nodiscard]] double host_stretch(std::span<const PacedStage> stages, const HostPace& pace);

}  // namespace segue
