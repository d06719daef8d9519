// What a bound says of a plan.
#pragma once

#include <string>

#include "segue/plan.h"

namespace segue {

// The first limit that the plan breaks, in words; empty where it keeps all.
[[nodiscard]] std::string broken_limit(const Plan& plan, const Bound& bound);

// What the plan's objective minimizes.
[[nodiscard]] Nanoseconds objective_time(const Plan& plan);

// Whether the plan is proven to be the best: it reaches the bound, and no part of its time is an
// estimate of work on the host.
[[nodiscard]] bool is_reached(const Bound& bound, const Plan& plan);

}  // namespace segue
