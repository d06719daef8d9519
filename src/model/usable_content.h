// Finds content of a verified flatbuffer that cannot be unpacked and written again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "model/internal/schema.h"

namespace segue {

// The number of bytes that a reader unpacks: lists, texts and options, counted at each reference.
// Many tables of a flatbuffer may refer to the same bytes, so a small file could need a huge amount
// of memory.
struct UnpackedSize {
  std::uint64_t most = 0;
  std::uint64_t bytes = 0;
  [[nodiscard]] bool is_too_large() const { return bytes > most; }
};

struct UnusableContent {
  enum class Kind {
    kUnknown,     // not in Segue's schema, so that writing the file again would drop it
    kMisaligned,  // numbers of 8 bytes at an address that is not a multiple of 8; the verifier of
                  // flatbuffers accepts them, but some processors cannot read them
    kTooLarge,    // the sum of all bytes unpacked so far
  };
  Kind kind;
  std::string what;  // "Conv2DOptions has the unknown field #9", or the field's name
};

// Returns the first such content in the tree below `table`, which must be verified. Contents of
// buffers (weights) are not counted. O(tables in the file); does not read vectors of scalars.
[[nodiscard]] std::optional<UnusableContent> find_unusable_content(
    const flatbuffers::Table& table, const flatbuffers::TypeTable& type, const std::string& name,
    UnpackedSize& size);

}  // namespace segue
