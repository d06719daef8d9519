// Chooses the subgraph that is the model, and checks that it does not need the others.
#pragma once

#include <cstddef>
#include <string>

#include "model/internal/schema.h"

namespace segue {

// Returns the position of the subgraph that the signature with this key names. With an empty key,
// returns the subgraph of the only signature, or else the first. Messages contain `file`. Throws
// Error(kInvalidArgument) for an unknown key, and Error(kUnsupported) if the key is empty and
// signatures name several subgraphs. The model must have a subgraph, and its signatures must name
// existing subgraphs.
[[nodiscard]] std::size_t choose_subgraph(const tflite::Model& root, const std::string& signature,
                                          const std::string& file);

// Throws Error(kUnsupported) if an operator of the subgraph runs another subgraph, shares variables
// or tables with it, or reads a variable that no operator sets, because a segment holds only one
// subgraph.
void check_stands_alone(const tflite::Model& root, std::size_t position, const std::string& file);

}  // namespace segue
