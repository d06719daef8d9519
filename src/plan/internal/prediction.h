// What the times of the stages mean for the pipeline.
#pragma once

#include <span>
#include <vector>

#include "segue/plan.h"

namespace segue {

// The kinds of devices of a stage; one where there is a single pool.
[[nodiscard]] std::vector<StageDevices> devices_of(const Stage& stage);

// How many times as long the host takes for its share of outputs in a steady stream through the
// stages (simulator/host_pace.h); 1 on one device.
[[nodiscard]] double host_stretch(std::span<const Stage> stages, std::span<const DevicePool> pools);

// One stage on one device is a plain inference; elsewhere each hand-over adds its hop to the
// latency.
[[nodiscard]] Prediction predict(std::span<const Stage> stages, Nanoseconds single_device,
                                 std::span<const DevicePool> pools);

}  // namespace segue
