// What may be a segment, and which tensors cross its border.
#pragma once

#include <span>
#include <vector>

#include "segue/model.h"

namespace segue {

// Per operator of the model whether it is in the set. Throws for duplicates and unknown positions.
[[nodiscard]] std::vector<bool> membership(const Model& model,
                                           std::span<const OperatorId> operators);

// Throws unless the set can be a segment: convex, with its variables and resources to itself,
// nothing among the model's outputs that no operator computes, and every shape known.
void check_extractable(const Model& model, const std::vector<bool>& inside);

[[nodiscard]] SegmentBorder border_of(const Model& model, const std::vector<bool>& inside);

}  // namespace segue
