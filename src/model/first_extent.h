// What operators do to the first extent of their tensors.
#pragma once

#include <cstdint>
#include <optional>

#include "model/model_state.h"

namespace segue {

// The first extent of `output`, whose other extents are known, from the shapes of what the operator
// reads. None where those are not known, where the operator decides by values, or where nothing is
// known about it.
[[nodiscard]] std::optional<std::int32_t> first_extent(const Model::State& state, OperatorId id,
                                                       const Tensor& output);

}  // namespace segue
