// Errors that mean: this strategy has no plan for this model.
#pragma once

#include "segue/error.h"

namespace segue {

// The model has too few operators or depths, or is too large for an exact search. A comparison
// continues without this plan.
[[nodiscard]] inline bool means_no_plan(const Error& error) {
  return error.code() == ErrorCode::kInfeasible || error.code() == ErrorCode::kUnsupported;
}

}  // namespace segue
