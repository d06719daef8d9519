// Pipelines of few stages, where the runner serves each of them for every input.
#pragma once

#include <cstdint>
#include <vector>

#include "optimal/equal_devices.h"
#include "optimal/lattice_stages.h"

namespace segue {

// Stages of a pipeline that gives a result every `period_ns` on equal devices, as far as they
// decide; empty where none has at most `most_stages` of them. O(most_stages * ideals^2).
[[nodiscard]] std::vector<EqualDevices<LatticeStages>::Stage> few_stages_within(
    const LatticeStages& stages, std::int64_t period_ns, std::uint32_t most_stages,
    std::uint32_t devices, std::uint32_t max_replicas);

}  // namespace segue
