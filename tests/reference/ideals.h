// Finds the order ideals of a small graph for searches that try every pipeline.
#pragma once

#include <algorithm>
#include <set>
#include <vector>

#include "segue/graph.h"

namespace segue::testing {

// Returns all sets of operators that contain with each operator those on which it depends, as bits,
// ascending. For graphs of fewer than 32 operators.
inline std::vector<unsigned> ideals_of(const Graph& graph) {
  std::set<unsigned> found{0};
  std::vector<unsigned> open{0};
  while (!open.empty()) {
    const unsigned ideal = open.back();
    open.pop_back();
    for (std::size_t op = 0; op < graph.operator_count(); ++op) {
      if (ideal >> op & 1U) continue;
      const auto writers = graph.writers(operator_id(op));
      const bool is_ready = std::ranges::all_of(
          writers, [&](OperatorId writer) { return (ideal >> index(writer) & 1U) != 0; });
      if (is_ready && found.insert(ideal | 1U << op).second) open.push_back(ideal | 1U << op);
    }
  }
  return {found.begin(), found.end()};
}

}  // namespace segue::testing
