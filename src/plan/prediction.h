// What the times of the stages mean for the pipeline.
#pragma once

#include <span>
#include <vector>

#include "segue/plan.h"

namespace segue {

// The kinds of devices of a stage; one where there is a single pool.
[[nodiscard]] std::vector<StageDevices> devices_of(const Stage& stage);

// One stage on one device is a plain inference; everything else goes through a runner on the host,
// which spends its hop on every input at every stage, one after another.
[[nodiscard]] Prediction predict(std::span<const Stage> stages, Nanoseconds single_device,
                                 std::span<const DevicePool> pools);

}  // namespace segue
