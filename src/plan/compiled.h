// What Google's compiler reports of the stages of a plan, in place of what is simulated.
#pragma once

#include <span>

#include "segue/plan.h"

namespace segue {

// The stage with a compiler's report in place of the simulated one. `operators` are its operators
// in `graph`, which is that of the whole model or of the segment alone.
void adopt(Stage& stage, const CompiledMemory& memory, const Graph& graph,
           std::span<const OperatorId> operators, std::span<const DevicePool> pools);

// Whether a stage of a file still is what it says that the compiler compiled.
[[nodiscard]] bool is_as_compiled(const Stage& in_file, const Stage& now);

}  // namespace segue
