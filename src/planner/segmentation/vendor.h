// Google's rule along any topological order.
#pragma once

#include <span>

#include "segue/segmentation.h"

namespace segue {

// As segment_as_vendor counts, along `order` instead of Graph::vendor_order().
[[nodiscard]] Segmentation segment_along(const Graph& graph, std::span<const OperatorId> order,
                                         std::size_t count);

}  // namespace segue
