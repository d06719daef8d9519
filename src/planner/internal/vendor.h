// Google's rule along any topological order.
#pragma once

#include <span>

#include "segue/segmentation.h"

namespace segue {

// The rule of segment_as_vendor, along `order` instead of Graph::vendor_order().
[[nodiscard]] Segmentation segment_along(const Graph& graph, std::span<const OperatorId> order,
                                         std::size_t count);

}  // namespace segue
