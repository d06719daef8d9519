// Checks that operators are in an order in which a runtime can execute them.
#pragma once

#include <optional>
#include <string>

#include "model/model_state.h"

namespace segue {

// Fills in the producers. Returns an error message if an operator reads a tensor that is written
// later, if a tensor is written twice, or if a model output is never written.
[[nodiscard]] std::optional<std::string> order_operators(Model::State& state);

}  // namespace segue
