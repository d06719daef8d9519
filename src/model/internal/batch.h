// Shapes that a file leaves open, for a batch of 1.
#pragma once

#include "model/model_state.h"

namespace segue {

// Converters write -1 in a tensor's signature, and 1 in its shape, where an extent is known at run
// time only. Takes the first extent of model inputs, the batch, as 1, and computes from it the
// first extent of every other tensor that is open there alone: it is not always 1
// (SPACE_TO_BATCH_ND moves pixels into it). Tensors for which that is not possible get
// `is_shape_known` false. Needs tensors, operators and borders. O(tensors and operators).
void fix_batch(Model::State& state);

// How to convert the model so that no shape is open; empty where no input's is.
[[nodiscard]] std::string fixed_shape_remedy(const Model& model);

// SHAPE operators, and all that follow from them: what the runtime computes shapes for.
struct RunTimeShapes {
  std::vector<OperatorId> sources;
  std::vector<OperatorId> followers;
};
[[nodiscard]] RunTimeShapes run_time_shapes(const Model& model);

}  // namespace segue
