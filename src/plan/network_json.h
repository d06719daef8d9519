// The key `network` of plan.json.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/internal/json/node.h"
#include "segue/plan.h"

namespace segue {

// The names of the nodes of all pools; empty without a network.
[[nodiscard]] std::vector<std::string> node_names(const Plan& plan);

// The functions below are for plans with a network.
[[nodiscard]] json::Json network_json(const Plan& plan);
[[nodiscard]] PlanNetwork parse_network(const json::Node& node);
// Throws Error(kInvalidArgument) unless what links carry follows from the stages.
void check_network(const json::Node& node, const Plan& plan);
// Checks the pool and the node of a stage's devices. `nodes`: of the pools.
void check_node(const json::Node& element, std::uint32_t pool, std::span<const std::string> nodes);

}  // namespace segue
