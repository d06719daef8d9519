// The first half of verification: the files hold each operator of the whole model exactly once.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "segue/verify.h"

namespace segue {

// The segment of each operator of the whole model.
using Homes = std::vector<std::size_t>;

// Returns the operators of a segment in file order.
[[nodiscard]] std::vector<OperatorId> operators_of(const Homes& homes, std::size_t segment);

// Matches operators with their options, tensors and constants, the borders, and the file sizes.
// Adds its counts to `report`. Throws Mismatch.
[[nodiscard]] Homes match_operators(const Model& whole, std::span<const Model> segments,
                                    VerifyReport& report);

}  // namespace segue
