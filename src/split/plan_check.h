// Whether plan.json tells the truth about the model and the segment files beside it.
#pragma once

#include <span>
#include <string>

#include "segue/plan.h"
#include "split/structure.h"

namespace segue {

// Whether these tensors have these names, as plan.json can hold them.
[[nodiscard]] bool are_named(const Model& model, std::span<const TensorId> tensors,
                             std::span<const std::string> names);

// Compares everything that follows from the files alone; bytes on a device and times do not.
// Throws Mismatch.
void check_plan(const Plan& plan, const Model& whole, std::span<const Model> segments,
                const Homes& homes);

}  // namespace segue
