// Measures how densely operators are connected.
#pragma once

#include <cstdint>

#include "segue/model.h"

namespace segue {

// Returns the number of tensors that operators read. A tensor counts each time it is read.
[[nodiscard]] inline std::uint64_t reads_of(const Model& model) {
  std::uint64_t reads = 0;
  for (const Operator& op : model.operators()) reads += op.inputs.size();
  return reads;
}

}  // namespace segue
