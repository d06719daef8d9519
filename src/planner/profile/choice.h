// What the searches for the ends of segments share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "segue/segmentation.h"

namespace segue {

inline constexpr Nanoseconds kNever = Nanoseconds::max();

// Ends of segments, ascending; the last is the number of units.
using Ends = std::vector<std::size_t>;

struct Choice {
  Ends ends;
  Nanoseconds slowest{0};  // of its segments
};

// Throws Error(kInvalidArgument) for no segment, Error(kInfeasible) for more than there are units.
void require_units(const Profile& profile, std::size_t count);

[[nodiscard]] Choice choice_of(Profile& profile, Ends ends);

[[nodiscard]] ProfiledSegmentation describe(const Profile& profile, const Choice& choice,
                                            std::uint64_t measured_before);

// libcoral's bisection, from these ends on.
[[nodiscard]] Choice bisect(Profile& profile, Ends initial, const BisectionOptions& options);

}  // namespace segue
