// What a sweep may ask for.
#pragma once

#include <cstdint>

namespace segue {

inline constexpr std::uint64_t kMostJobs = 1'000'000;

}  // namespace segue
