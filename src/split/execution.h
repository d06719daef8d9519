// The second half of verification: the whole model and the segments compute the same outputs.
#pragma once

#include <span>

#include "segue/verify.h"

namespace segue {

// Loads and runs both sides in a child process, because a damaged model can make the runtime crash.
// Adds its counts to `report`, whose mismatch describes a difference. Throws Error(kInvalidModel)
// if the whole model does not run or if the runtime crashes.
void check_execution(const Model& whole, std::span<const Model> segments, const Backend& backend,
                     const VerifyOptions& options, VerifyReport& report);

}  // namespace segue
