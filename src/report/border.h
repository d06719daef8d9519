// Inputs and outputs of models, as reports show them.
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "segue/model.h"

namespace segue {

// For example "1x300x300x3".
[[nodiscard]] std::string shape_text(const Tensor& tensor);
// For example "x INT8 1x4x4x4, y INT8 1x10".
[[nodiscard]] std::string border_text(const Model& model, std::span<const TensorId> tensors);
// Returns a list of objects with name, type, shape and bytes.
[[nodiscard]] nlohmann::ordered_json border_json(const Model& model,
                                                 std::span<const TensorId> tensors);

}  // namespace segue
