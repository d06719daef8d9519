// The effect of operators on the first extent of their tensors.
#pragma once

#include <cstdint>
#include <optional>

#include "model/model_state.h"

namespace segue {

// Returns the first extent of `output`, whose other extents are known, from the shapes of the
// operator's inputs. Empty if these are not known, if the extent depends on values, or if there is
// no rule for the operator.
[[nodiscard]] std::optional<std::int32_t> first_extent(const Model::State& state, OperatorId id,
                                                       const Tensor& output);

}  // namespace segue
