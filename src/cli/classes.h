// The classes of a classifier: their labels and scores.
#pragma once

#include <string>
#include <vector>

#include "segue/report.h"
#include "segue/runtime.h"

namespace segue::cli {

// Reads one label per line. A line may begin with the number of its class. Throws Error(kIo).
[[nodiscard]] std::vector<std::string> read_labels(const std::string& path);

// Returns the number of classes that an output has scores of. Throws Error(kInvalidArgument) if the
// output holds no scores.
[[nodiscard]] std::size_t class_count(const Port& port);

// Returns the five classes with the highest scores, highest first. Among equal scores, lower class
// numbers come first.
[[nodiscard]] std::vector<ClassScore> best_classes(const Port& port, const TensorBytes& value,
                                                   const std::vector<std::string>& labels);

}  // namespace segue::cli
