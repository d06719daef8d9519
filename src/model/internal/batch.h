// Shapes with open extents, for a batch of 1.
#pragma once

#include "model/model_state.h"

namespace segue {

// If an extent is known only at run time, converters write -1 in the tensor's signature and 1 in
// its shape. This function sets the first extent of model inputs, the batch, to 1. From it, the
// function computes the first extent of every other tensor in which no other extent is open. That
// extent is not always 1, because SPACE_TO_BATCH_ND moves pixels into it. Tensors for which this is
// not possible get `is_shape_known` false. Requires tensors, operators and borders. O(tensors and
// operators).
void fix_batch(Model::State& state);

// Returns how to convert the model so that no shape is open. Empty if no input's shape is open.
[[nodiscard]] std::string fixed_shape_remedy(const Model& model);

// SHAPE operators, and all operators that depend on them: the runtime computes shapes for these.
struct RunTimeShapes {
  std::vector<OperatorId> sources;
  std::vector<OperatorId> followers;
};
[[nodiscard]] RunTimeShapes run_time_shapes(const Model& model);

}  // namespace segue
