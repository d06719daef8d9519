// What may be a segment, and which tensors cross its border.
#pragma once

#include <span>
#include <vector>

#include "segue/model.h"

namespace segue {

// Per operator of the model whether it is in the set. Throws for duplicates and unknown positions.
[[nodiscard]] std::vector<bool> membership(const Model& model,
                                           std::span<const OperatorId> operators);

// Throws if the set cannot be a segment. It must be convex, it must not share variables or
// resources with other operators, an operator must compute each model output, and all shapes must
// be known.
void check_extractable(const Model& model, const std::vector<bool>& inside);

[[nodiscard]] SegmentBorder border_of(const Model& model, const std::vector<bool>& inside);

}  // namespace segue
