// State that a whole model keeps between inputs.
#pragma once

#include "segue/model.h"

namespace segue {

// Whether any operator of the model keeps state. As keeps_state of segue/model.h for all operators.
[[nodiscard]] bool keeps_state(const Model& model);

}  // namespace segue
