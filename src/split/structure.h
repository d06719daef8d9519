// The first half of verification: the files hold the operators of the whole model, each once.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "segue/verify.h"

namespace segue {

// The segment of each operator of the whole model.
using Homes = std::vector<std::size_t>;

// In file order.
[[nodiscard]] std::vector<OperatorId> operators_of(const Homes& homes, std::size_t segment);

// Matches operators with their options, tensors and constants, borders, and file sizes. Counts in
// `report`. Throws Mismatch.
[[nodiscard]] Homes match_operators(const Model& whole, std::span<const Model> segments,
                                    VerifyReport& report);

}  // namespace segue
