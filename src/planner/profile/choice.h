// Functions and types that the searches over a profile share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "segue/segmentation.h"

namespace segue {

inline constexpr Nanoseconds kNever = Nanoseconds::max();

// Ends of segments in ascending order; the last one is the number of units.
using Ends = std::vector<std::size_t>;

struct Choice {
  Ends ends;
  Nanoseconds slowest{0};  // latency of its slowest segment
};

// Throws Error(kInvalidArgument) for 0 segments, and Error(kInfeasible) for more segments than
// units.
void require_units(const Profile& profile, std::size_t count);

[[nodiscard]] Choice choice_of(Profile& profile, Ends ends);

[[nodiscard]] ProfiledSegmentation describe(const Profile& profile, const Choice& choice,
                                            std::uint64_t measured_before);

// The bisection of libcoral, starting from `initial`.
[[nodiscard]] Choice bisect(Profile& profile, Ends initial, const BisectionOptions& options);

}  // namespace segue
