// Compares plan.json with the model and the segment files in the same folder.
#pragma once

#include <span>
#include <string>

#include "segue/plan.h"
#include "split/structure.h"

namespace segue {

// Whether these tensors have these names, as plan.json stores them.
[[nodiscard]] bool are_named(const Model& model, std::span<const TensorId> tensors,
                             std::span<const std::string> names);

// Compares everything that the files alone determine, but not times or bytes on a device. Throws
// Mismatch.
void check_plan(const Plan& plan, const Model& whole, std::span<const Model> segments,
                const Homes& homes);

}  // namespace segue
