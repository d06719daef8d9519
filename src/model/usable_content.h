// Finds what a verified flatbuffer holds that cannot be unpacked and written again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "model/internal/schema.h"

namespace segue {

// How much a reader unpacks: lists, texts and options, as often as they are referred to. In a
// flatbuffer many tables may share them, so that a small file could stand for endless memory.
struct UnpackedSize {
  std::uint64_t most = 0;
  std::uint64_t bytes = 0;
  [[nodiscard]] bool is_too_large() const { return bytes > most; }
};

struct UnusableContent {
  enum class Kind {
    kUnknown,     // by our schema: from a newer format; to write the file again would drop it
    kMisaligned,  // numbers of 8 bytes at an address that is no multiple of 8, which flatbuffers'
                  // verifier lets pass and no processor need read
    kTooLarge,    // all that was unpacked so far
  };
  Kind kind;
  std::string what;  // "Conv2DOptions has the unknown field #9", or the field's name
};

// Returns the first in the tree below `table`, which must be verified. The contents of buffers,
// that is, weights, do not count. O(tables in the file); never touches vectors of scalars.
[[nodiscard]] std::optional<UnusableContent> find_unusable_content(
    const flatbuffers::Table& table, const flatbuffers::TypeTable& type, const std::string& name,
    UnpackedSize& size);

}  // namespace segue
