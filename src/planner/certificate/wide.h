// Checks bounds for graphs with too many ideals to enumerate. In the widest parts, a pipeline may
// be cut after any amount of work, and tensors that cross the cut cost nothing. No real pipeline is
// better than these. Shares only the times of segments with the planner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "segue/device.h"
#include "segue/graph.h"
#include "segue/planner.h"

namespace segue {

using OperatorSet = std::vector<bool>;

// A lower bound of each operator's time: computation on the fastest device and streaming of
// parameters that are never cached, or the time on the host if the operator runs there or may have
// to because a predecessor does.
struct LeastWork {
  std::vector<double> per_operator_ns;
  std::vector<double> streamed_ns;  // the part that is streaming, on the last kind of device
  std::vector<bool> may_be_on_host;
};
[[nodiscard]] LeastWork least_work(const Graph& graph, std::span<const DevicePool> pools);

// Returns the sets that contain with each operator all operators that it reads from, between the
// first `first` and the first `last` operators, in ascending size. Returns nothing if there are
// more than `most`.
[[nodiscard]] std::optional<std::vector<OperatorSet>> ideals_between(const Graph& graph,
                                                                     std::size_t first,
                                                                     std::size_t last,
                                                                     std::size_t most);

struct WideResult {
  bool is_none_below = false;  // false: there may be one
  std::size_t ideals = 0;
  std::uint64_t segments = 0;  // number of segments timed
};
[[nodiscard]] WideResult look_below(const Graph& graph, const DevicePool& pool, const Bound& bound,
                                    std::size_t most_ideals);

}  // namespace segue
