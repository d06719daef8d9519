// Converts simulated reports to the numbers in a log of Google's compiler.
#pragma once

#include <algorithm>

#include "segue/cost.h"
#include "segue/units.h"

namespace segue::testing {

/// Logs count 64 outputs for a convolution or dense layer that has fewer.
inline double on_chip_mib_in_a_log(const Model& model, const MemoryReport& report) {
  double bytes = 0;
  for (const OperatorMemory& memory : report.operators) {
    if (memory.residency != Residency::kCached) continue;
    const Tensor& weights = model.tensor(tensor_id(model.op(memory.op).inputs[1]));
    const int stored = (weights.shape[0] + 15) / 16 * 16;
    bytes += static_cast<double>(memory.bytes) * std::max(1.0, 64.0 / stored);
  }
  return bytes / double{kMiB};
}

}  // namespace segue::testing
