// The argument check that every strategy shares.
#pragma once

#include <cstddef>

#include "segue/graph.h"

namespace segue {

// Throws when `count` is 0 or larger than `available`, the number of `what` a model has.
void require_segments(const Graph& graph, std::size_t count, std::size_t available,
                      const char* what);

}  // namespace segue
