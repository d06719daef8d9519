// The check of a flatbuffer, with one set of limits for all who look into a model file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace segue {

// What the offsets of a flatbuffer reach, and flatbuffers' verifier takes.
inline constexpr std::uint64_t kLargestFlatbufferBytes = (std::uint64_t{1} << 31) - 2;

// Whether the flatbuffer of a model lies within `bytes`, at most kLargestFlatbufferBytes, and holds
// together.
[[nodiscard]] bool is_model_flatbuffer(std::span<const std::byte> bytes);

}  // namespace segue
