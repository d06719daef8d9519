// Indices in the parts of a file that no operator uses.
#pragma once

#include <optional>
#include <string>

#include "model/internal/schema.h"

namespace segue {

// Signatures and metadata are copied into segments, so their indices must hold too. Says what is
// wrong with the first that does not.
[[nodiscard]] std::optional<std::string> find_bad_reference(const tflite::Model& root);

}  // namespace segue
