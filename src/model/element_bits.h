// Sizes of element types and shapes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "segue/model.h"

namespace segue {

// Size in bits of one element; 0 for types without a fixed size.
[[nodiscard]] unsigned element_bits(ElementType type);

// Far above any memory, and low enough for products with sizes of elements.
inline constexpr std::uint64_t kMostElements = std::uint64_t{1} << 37U;

// The number of elements of a tensor whose extents are not negative; none above kMostElements.
[[nodiscard]] std::optional<std::uint64_t> element_count(std::span<const std::int32_t> shape);

}  // namespace segue
