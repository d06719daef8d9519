// Finds what a flatbuffer holds beyond our schema.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "model/schema.h"

namespace segue {

// How much a reader unpacks: lists, texts and options, as often as they are referred to. In a
// flatbuffer many tables may share them, so that a small file could stand for endless memory.
struct UnpackedSize {
  std::uint64_t most = 0;
  std::uint64_t bytes = 0;
  [[nodiscard]] bool is_too_large() const { return bytes > most; }
};

// Returns a description of the first field, union member or enumerator in the tree below `table`
// that the schema does not know: "Conv2DOptions has the unknown field #9". Such a file comes from a
// newer format; rewriting it would drop that part without a word. Ends early, with some text, where
// `size` becomes too large; the contents of buffers, that is, weights, do not count. `table` must
// be verified. O(tables in the file); never touches vectors of scalars.
[[nodiscard]] std::optional<std::string> find_unknown_content(const flatbuffers::Table& table,
                                                              const flatbuffers::TypeTable& type,
                                                              const std::string& name,
                                                              UnpackedSize& size);

}  // namespace segue
