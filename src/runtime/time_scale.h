// The factor between simulated times and those that a run takes.
#pragma once

#include <fmt/format.h>

#include "segue/error.h"

namespace segue {

// Throws Error(kInvalidArgument) for a factor that a run cannot use.
inline void check_time_scale(double time_scale) {
  constexpr double kLargest = 1e6;
  if (time_scale >= 0 && time_scale <= kLargest) return;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("time scale {}: must be from 0 to {}", time_scale, kLargest));
}

}  // namespace segue
