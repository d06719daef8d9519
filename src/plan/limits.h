// Whether a plan stays within the limits that a bound holds for.
#pragma once

#include <string>

#include "segue/plan.h"

namespace segue {

// The first limit that the plan breaks, in words; empty where it keeps all.
[[nodiscard]] std::string broken_limit(const Plan& plan, const Bound& bound);

}  // namespace segue
