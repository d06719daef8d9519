// Replaces simulated figures of a plan's stages by those that Google's compiler reports.
#pragma once

#include <span>

#include "segue/plan.h"

namespace segue {

// Replaces the simulated figures of a stage by a compiler's report. `operators` are the stage's
// operators in `graph`, which is the graph of the whole model or of the segment alone.
void adopt(Stage& stage, const CompiledMemory& memory, const Graph& graph,
           std::span<const OperatorId> operators, std::span<const DevicePool> pools);

// Whether the stage in a file is still the one that was compiled.
[[nodiscard]] bool is_as_compiled(const Stage& in_file, const Stage& now);

}  // namespace segue
