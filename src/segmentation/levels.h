// Sums over levels, and how deep a program that is quadratic in depth may go.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "segue/graph.h"

namespace segue {

// Tables of such programs have depth x count entries; the deepest CNN of the paper has 571 levels.
inline constexpr std::uint32_t kDeepestSearch = 4096;

// Parameter bytes of the levels (first, last], in O(1).
class PrefixBytes {
 public:
  explicit PrefixBytes(std::span<const Level> levels) : sums_(levels.size() + 1) {
    for (std::size_t i = 0; i < levels.size(); ++i)
      sums_[i + 1] = sums_[i] + levels[i].parameter_bytes;
  }
  [[nodiscard]] std::uint64_t between(std::size_t first, std::size_t last) const {
    return sums_[last] - sums_[first];
  }

 private:
  std::vector<std::uint64_t> sums_;
};

}  // namespace segue
