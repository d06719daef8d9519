// The classes that a classifier's scores speak for.
#pragma once

#include <string>
#include <vector>

#include "segue/backend.h"

namespace segue::cli {

// One label per line. Throws Error(kIo).
[[nodiscard]] std::vector<std::string> read_labels(const std::string& path);

// The five classes with the highest scores, as softmax outputs scale them: a line each. Throws
// Error(kInvalidArgument) where the output holds no scores.
[[nodiscard]] std::string top_classes(const Port& port, const TensorBytes& value,
                                      const std::vector<std::string>& labels);

}  // namespace segue::cli
