// Sums over levels, and the size limit of dynamic programs over depths.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "segue/graph.h"

namespace segue {

// Whether a program of depth^2 * count steps takes at most about a second. The deepest CNN of the
// paper has 571 levels.
[[nodiscard]] constexpr bool is_searchable(std::size_t depth, std::size_t count) {
  constexpr std::size_t kDeepest = 4096;
  constexpr std::size_t kMostSteps = std::size_t{1} << 30U;
  return depth <= kDeepest && depth * depth * count <= kMostSteps;
}

// Prefix sums of a member of Level: the sum over the levels (first, last] in O(1).
class LevelSums {
 public:
  template <typename Number>
  LevelSums(std::span<const Level> levels, Number Level::*of) : sums_(levels.size() + 1) {
    for (std::size_t i = 0; i < levels.size(); ++i) sums_[i + 1] = sums_[i] + levels[i].*of;
  }
  [[nodiscard]] std::uint64_t between(std::size_t first, std::size_t last) const {
    return sums_[last] - sums_[first];
  }

 private:
  std::vector<std::uint64_t> sums_;
};

}  // namespace segue
