// Sizes of element types and shapes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "segue/model.h"

namespace segue {

// The size of one element in bits; 0 for types without a fixed size.
[[nodiscard]] unsigned element_bits(ElementType type);

// Far above any memory size, and small enough to multiply by the size of an element.
inline constexpr std::uint64_t kMostElements = std::uint64_t{1} << 37U;

// Returns the number of elements of a tensor without negative extents. Empty if it exceeds
// kMostElements.
[[nodiscard]] std::optional<std::uint64_t> element_count(std::span<const std::int32_t> shape);

}  // namespace segue
