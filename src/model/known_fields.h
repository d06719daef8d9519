// Finds what a flatbuffer holds beyond our schema.
#pragma once

#include <optional>
#include <string>

#include "model/schema.h"

namespace segue {

// Returns a description of the first field, union member or enumerator in the tree below `table`
// that the schema does not know: "Conv2DOptions has the unknown field #9". Such a file comes from a
// newer format; rewriting it would drop that part without a word. `table` must be verified.
// O(tables in the file); never touches vectors of scalars, that is, weights.
[[nodiscard]] std::optional<std::string> find_unknown_content(const flatbuffers::Table& table,
                                                              const flatbuffers::TypeTable& type,
                                                              const std::string& name);

}  // namespace segue
