// Bytes that a file holds behind its flatbuffer, by offset from the start of the file: weights, and
// options of custom operators. Converters write them so where a flatbuffer of 2 GB may not suffice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "model/internal/schema.h"

namespace segue {

// How far the flatbuffer may reach: to the first byte that stands behind it, or to the end. Says in
// `problem` which offset leads out of the file.
struct FlatbufferExtent {
  std::uint64_t most_bytes = 0;
  std::optional<std::string> problem;
};
[[nodiscard]] FlatbufferExtent flatbuffer_extent(const tflite::Model& root,
                                                 std::uint64_t file_bytes);

// What a buffer holds, in the flatbuffer or behind it; empty where it holds nothing. The offsets
// must have passed flatbuffer_extent.
[[nodiscard]] std::span<const std::byte> buffer_bytes(const tflite::Buffer& buffer,
                                                      std::span<const std::byte> file);

[[nodiscard]] std::span<const std::byte> custom_option_bytes(const tflite::Operator& op,
                                                             std::span<const std::byte> file);

}  // namespace segue
