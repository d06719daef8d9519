// Plans for computers on a network, next to what needs no planner.
#pragma once

#include <string>
#include <vector>

#include "segue/plan.h"

namespace segue::paper {

struct TopologyRow {
  std::string topology;
  std::string network;
  Plan plan;
  double sustained_per_s = 0;  // with waiting times
  double in_order_per_s = 0;   // Google's cuts, placed on the devices in their order
  double copies_per_s = 0;     // the whole model on each of some computers
};

// Results per second where computers run the whole model, each with the best plan for its devices,
// and get inputs in proportion to their speed; for the best choice of computers.
[[nodiscard]] double copies_per_s(const Graph& graph, const Topology& topology);

// Eight topologies with some networks of the zoo each.
[[nodiscard]] std::vector<TopologyRow> topology_rows();

}  // namespace segue::paper
