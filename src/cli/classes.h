// The classes that a classifier's scores speak for.
#pragma once

#include <string>
#include <vector>

#include "segue/report.h"
#include "segue/runtime.h"

namespace segue::cli {

// One label per line, or each with its class's number before it. Throws Error(kIo).
[[nodiscard]] std::vector<std::string> read_labels(const std::string& path);

// How many classes an output has scores of. Throws Error(kInvalidArgument) where it holds none.
[[nodiscard]] std::size_t class_count(const Port& port);

// The five classes with the highest scores; of equal ones those that come first.
[[nodiscard]] std::vector<ClassScore> best_classes(const Port& port, const TensorBytes& value,
                                                   const std::vector<std::string>& labels);

}  // namespace segue::cli
