// That operators stand in the order in which a runtime executes them.
#pragma once

#include <optional>
#include <string>

#include "model/model_state.h"

namespace segue {

// Fills the producers. Says what is wrong where an operator reads what is written later, a tensor
// is written twice, or a model output never.
[[nodiscard]] std::optional<std::string> order_operators(Model::State& state);

}  // namespace segue
