// Predicts the performance of a pipeline from the times of its stages.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "segue/plan.h"

namespace segue {

// Returns the kinds of devices of a stage; one kind if there is a single pool.
[[nodiscard]] std::vector<StageDevices> devices_of(const Stage& stage);

// Returns the factor by which the host's share of outputs takes longer in a steady stream through
// the stages (plan/internal/pipeline_pace.h); 1 on one device.
[[nodiscard]] double host_stretch(std::span<const Stage> stages, std::span<const DevicePool> pools);

// One stage on one device is a plain inference. Otherwise, each hand-over adds its hop to the
// latency. A network adds its latencies, and each of its resources limits the throughput.
[[nodiscard]] Prediction predict(std::span<const Stage> stages, Nanoseconds single_device,
                                 std::span<const DevicePool> pools,
                                 const std::optional<Decoding>& decoding = std::nullopt,
                                 const std::optional<PlanNetwork>& network = std::nullopt);

}  // namespace segue
