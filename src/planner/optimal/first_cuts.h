// Where the first stage of a pipeline can end in a graph of too many ideals to list, and what no
// first stage and rest can beat.
//
// The first stage I takes T1(I): fixed time, input, work, output. All other stages together take at
// least R(I): fixed time, every tensor that crosses once as input, work, the model's output. On K
// devices the bottleneck is at least the larger of T1(I) and R(I) / (K - 1), and that is at least
// any weighted mean of the two. The work is a sum over operators, transfers are a sum over tensors
// that cross: so the mean is a cut of a network, and its smallest value over all ideals one minimum
// cut (J.-C. Picard, "Maximal closure of a graph", Management Science 22, 1976). The weight is
// chosen for the largest bound (Lagrange); where a gap is left, a search branches on operators
// inside or outside.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "device/edgetpu/segment_costs.h"

namespace segue {

struct FirstCuts {
  double least_ns = 0;                    // no two or more stages have a smaller bottleneck
  std::vector<std::vector<bool>> ideals;  // candidates for the first stage: operators inside
};

// For pure pipelines of at most `stages` >= 2 stages on equal devices; `known_ns` is a bottleneck
// that one of them has. Nothing where the graph has several first or last operators, or some run on
// the host. Deterministic; ends after `most_cuts` minimum cuts with what was shown by then; `dives`
// for candidates early instead of a bound.
[[nodiscard]] std::optional<FirstCuts> find_first_cuts(const SegmentCosts& costs,
                                                       std::uint32_t stages, double known_ns,
                                                       int most_cuts, bool dives);

}  // namespace segue
