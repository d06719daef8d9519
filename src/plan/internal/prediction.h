// Predicts the performance of a pipeline from its stages, and compares a plan with its bound.
#pragma once

#include <optional>
#include <span>
#include <string>
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

// Returns the first limit that the plan breaks, in words. Empty if it keeps all limits.
[[nodiscard]] std::string broken_limit(const Plan& plan, const Bound& bound);

// Returns the time that the plan's objective minimizes.
[[nodiscard]] Nanoseconds objective_time(const Plan& plan);

// Whether the plan is proven to be optimal: it reaches the bound, and no part of its time is an
// estimate of work on the host.
[[nodiscard]] bool is_reached(const Bound& bound, const Plan& plan);

// Returns the bound of the plan's stages without its decoding. Returns nothing if decoding alone
// takes as long as the bound, because the bound then says nothing about the stages. The plan must
// have a bound.
[[nodiscard]] std::optional<Bound> bound_without_decoding(const Plan& plan);

}  // namespace segue
