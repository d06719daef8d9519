// Computes the period and the latency of a pipeline from the times of its stages. Predictions and
// searches share these functions.
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

}  // namespace segue
