// The argument check of all strategies.
#pragma once

#include <cstddef>

#include "segue/graph.h"

namespace segue {

// Throws Error(kInvalidArgument) when `count` is 0, and Error(kInfeasible) when it is larger than
// `available`, the number of `what` in the model.
void require_segments(const Graph& graph, std::size_t count, std::size_t available,
                      const char* what);

}  // namespace segue
