// Lists all ways to cut `depth` levels into `count` groups, for brute force.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace segue::testing {

inline void for_all_cuts(std::uint32_t depth, std::size_t count,
                         const std::function<void(const std::vector<std::uint32_t>&)>& visit) {
  std::vector<std::uint32_t> cuts;
  const std::function<void(std::uint32_t)> extend = [&](std::uint32_t first) {
    if (cuts.size() + 1 == count) return visit(cuts);
    const auto still_needed = static_cast<std::uint32_t>(count - cuts.size() - 1);
    for (std::uint32_t cut = first; cut + still_needed <= depth; ++cut) {
      cuts.push_back(cut);
      extend(cut + 1);
      cuts.pop_back();
    }
  };
  extend(1);
}

}  // namespace segue::testing
