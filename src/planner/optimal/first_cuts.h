// Candidates for the first cut of a pipeline in a graph with too many ideals to list, and a lower
// bound over all first cuts.
//
// The first stage I takes T1(I): fixed time, input, work and output. All other stages together take
// at least R(I): fixed time, one input of every tensor that crosses, work, and the model's output.
// On K devices the bottleneck is at least the larger of T1(I) and R(I) / (K - 1), and this is at
// least every weighted mean of the two. Work is a sum over operators, and transfers are a sum over
// tensors that cross. The mean is therefore a cut of a network, and one minimum cut gives its
// smallest value over all ideals (J.-C. Picard, "Maximal closure of a graph", Management Science
// 22, 1976). The weight is chosen for the largest bound (Lagrangian relaxation). If a gap remains,
// branch and bound decides which operators are inside or outside.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "device/edgetpu/internal/segment_costs.h"

namespace segue {

struct FirstCuts {
  double least_ns = 0;                    // lower bound of pipelines of two or more stages
  std::vector<std::vector<bool>> ideals;  // candidates for the first stage: operators inside
};

// For pure pipelines of at most `stages` >= 2 stages on equal devices. `known_ns` is the bottleneck
// of a known pipeline. Returns nothing if the graph has several first or last operators, or
// operators on the host. Deterministic. Ends after `most_cuts` minimum cuts with the bound proven
// so far. `dives`: search for good candidates first, instead of a bound.
[[nodiscard]] std::optional<FirstCuts> find_first_cuts(const SegmentCosts& costs,
                                                       std::uint32_t stages, double known_ns,
                                                       int most_cuts, bool dives);

}  // namespace segue
