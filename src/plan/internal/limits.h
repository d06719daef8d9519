// Checks of a plan against its bound.
#pragma once

#include <optional>
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

// Returns the bound of the plan's stages without its decoding. Returns nothing if decoding alone
// takes as long as the bound, because the bound then says nothing about the stages. The plan must
// have a bound.
[[nodiscard]] std::optional<Bound> bound_without_decoding(const Plan& plan);

}  // namespace segue
