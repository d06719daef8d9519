// Checks indices in the parts of a file that no operator uses.
#pragma once

#include <optional>
#include <string>

#include "model/internal/schema.h"

namespace segue {

// Signatures and metadata are copied into segments, so their indices must be valid too. Returns an
// error message for the first invalid index.
[[nodiscard]] std::optional<std::string> find_bad_reference(const tflite::Model& root);

}  // namespace segue
