// What the times of stages mean for a pipeline: the one place that says so, asked by predictions
// and by the searches.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "device/edgetpu/internal/stage_pace.h"
#include "segue/device.h"

namespace segue {

// What the devices of one kind take for an input of the stage that they run.
struct StageUse {
  std::uint32_t pool = 0;
  StageShare share;
  std::int64_t link_ns = 0;
  std::int64_t host_ns = 0;  // operators on the host
};
using StageUses = std::vector<StageUse>;  // the kinds of devices of a stage

[[nodiscard]] std::vector<StageShare> shares_of(const StageUses& stage);

// Between two results: of the slowest stage, of a link that the devices of a pool share, or of the
// host's cores, which compute the operators of all stages, each one at a time. O(stages * pools).
[[nodiscard]] std::int64_t pipeline_period_ns(std::span<const StageUses> stages,
                                              std::span<const DevicePool> pools);

// Of one input through all stages.
[[nodiscard]] std::int64_t pipeline_latency_ns(std::span<const StageUses> stages,
                                               std::int64_t hop_ns);

}  // namespace segue
