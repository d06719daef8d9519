// The check of a flatbuffer, with the same limits for all readers of model files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace segue {

// The largest size that the offsets of a flatbuffer and its verifier support.
inline constexpr std::uint64_t kLargestFlatbufferBytes = (std::uint64_t{1} << 31) - 2;

// Whether `bytes`, at most kLargestFlatbufferBytes, contain the whole flatbuffer of a model, and it
// passes the verifier.
[[nodiscard]] bool is_model_flatbuffer(std::span<const std::byte> bytes);

}  // namespace segue
