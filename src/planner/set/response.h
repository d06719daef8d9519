// How long an inference may wait on a TPU that several models share.
#pragma once

#include <span>

#include "segue/units.h"

namespace segue {

// The inferences of one model on one TPU.
struct Arrivals {
  double time_ns = 0;    // of one inference
  double period_ns = 0;  // least time between two arrivals; infinity: a single inference
  double jitter_ns = 0;  // how much earlier stages may delay an arrival
};

// Returns the longest time from an arrival to its result, which is the same for all models, on a
// TPU that serves them in order of arrival without interruption. Returns kLongestWait if the TPU
// cannot keep pace.
[[nodiscard]] Nanoseconds longest_response(std::span<const Arrivals> models);

}  // namespace segue
