// Which subgraph of a file is the model, and whether it can do without the others.
#pragma once

#include <cstddef>
#include <string>

#include "model/internal/schema.h"

namespace segue {

// The position of the subgraph that the signature of this key names; with an empty key that of the
// only signature, or else the first. `file` stands in messages. Throws Error(kInvalidArgument) for
// a key that is not there, Error(kUnsupported) where several signatures name several subgraphs and
// none was chosen. The model has a subgraph, and its signatures name subgraphs that exist.
[[nodiscard]] std::size_t choose_subgraph(const tflite::Model& root, const std::string& signature,
                                          const std::string& file);

// Throws Error(kUnsupported) where an operator of a subgraph runs another one, shares its variables
// or tables with it, or reads a variable that nothing sets: a segment holds one subgraph alone.
void check_stands_alone(const tflite::Model& root, std::size_t position, const std::string& file);

}  // namespace segue
