// The second half of verification: whole model and segments compute the same outputs.
#pragma once

#include <span>

#include "segue/verify.h"

namespace segue {

// Loads and runs both sides in a child process, since a damaged model can make the runtime crash.
// Counts in `report`, whose mismatch says what differs. Throws Error(kInvalidModel) when the whole
// model does not run or the runtime crashed.
void check_execution(const Model& whole, std::span<const Model> segments, const Backend& backend,
                     const VerifyOptions& options, VerifyReport& report);

}  // namespace segue
