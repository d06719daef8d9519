// Checks of a plan against its bound.
#pragma once

#include <string>

#include "segue/plan.h"

namespace segue {

// Returns the first limit that the plan breaks, in words. Empty if it keeps all limits.
[[nodiscard]] std::string broken_limit(const Plan& plan, const Bound& bound);

// Returns the time that the plan's objective minimizes.
[[nodiscard]] Nanoseconds objective_time(const Plan& plan);

// Whether the plan is proven to be optimal: it reaches the bound, and no part of its time is an
// estimate of work on the host.
[[nodiscard]] bool is_reached(const Bound& bound, const Plan& plan);

}  // namespace segue
