// Errors that say of one model and one strategy that there is no plan.
#pragma once

#include "segue/error.h"

namespace segue {

// Fewer cuts than devices, or a model too large for an exact search: others go on without it.
[[nodiscard]] inline bool means_no_plan(const Error& error) {
  return error.code() == ErrorCode::kInfeasible || error.code() == ErrorCode::kUnsupported;
}

}  // namespace segue
