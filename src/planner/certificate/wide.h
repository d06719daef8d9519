// A check of bounds for graphs of too many ideals to list: where they are too many, a pipeline may
// be cut after any amount of work, and what crosses the cut costs nothing. No pipeline is better
// than those. Shares nothing with the planner but the times of segments.
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

// Of each operator, what it takes at least: its computation on the fastest device with the
// streaming of what is never cached, or the host's where it runs there or may have to, behind one
// that does.
struct LeastWork {
  std::vector<double> per_operator_ns;
  std::vector<double> streamed_ns;  // of that, on the last kind of device
  std::vector<bool> may_be_on_host;
};
[[nodiscard]] LeastWork least_work(const Graph& graph, std::span<const DevicePool> pools);

// Sets that hold with each operator all it reads from, from the first `first` operators to the
// first `last`, the smaller ones first; nothing when there are more than `most`.
[[nodiscard]] std::optional<std::vector<OperatorSet>> ideals_between(const Graph& graph,
                                                                     std::size_t first,
                                                                     std::size_t last,
                                                                     std::size_t most);

struct WideResult {
  bool is_none_below = false;  // false: there may be one
  std::size_t ideals = 0;
  std::uint64_t segments = 0;  // timed
};
[[nodiscard]] WideResult look_below(const Graph& graph, const DevicePool& pool, const Bound& bound,
                                    std::size_t most_ideals);

}  // namespace segue
