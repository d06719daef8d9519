// Limits of a sweep.
#pragma once

#include <cstdint>

namespace segue {

inline constexpr std::uint64_t kMostJobs = 1'000'000;

}  // namespace segue
