// Bytes that a file stores after its flatbuffer, at an offset from the start of the file: weights,
// and options of custom operators. Converters use this form if a flatbuffer of 2 GB may not
// suffice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "model/internal/schema.h"

namespace segue {

// The largest possible size of the flatbuffer: up to the first byte stored after it, or to the end
// of the file. `problem` describes an offset that leads out of the file.
struct FlatbufferExtent {
  std::uint64_t most_bytes = 0;
  std::optional<std::string> problem;
};
[[nodiscard]] FlatbufferExtent flatbuffer_extent(const tflite::Model& root,
                                                 std::uint64_t file_bytes);

// Returns the content of a buffer, in the flatbuffer or after it. Empty if it has no content.
// flatbuffer_extent must have accepted the offsets.
[[nodiscard]] std::span<const std::byte> buffer_bytes(const tflite::Buffer& buffer,
                                                      std::span<const std::byte> file);

[[nodiscard]] std::span<const std::byte> custom_option_bytes(const tflite::Operator& op,
                                                             std::span<const std::byte> file);

}  // namespace segue
