#include "plan/network_json.h"

#include <fmt/format.h>

#include <algorithm>

#include "segue/topology.h"
#include "segue/units.h"

namespace segue {
namespace {

json::Json links_json(const Plan& plan) {
  json::Json links = json::Json::array();
  const auto traffic = link_traffic(plan);
  for (std::size_t l = 0; l < plan.network->topology.links.size(); ++l) {
    const TopologyLink& link = plan.network->topology.links[l];
    const auto both = [&](double LinkTraffic::*value) {
      return json::Json{json::rounded(traffic[2 * l].*value),
                        json::rounded(traffic[2 * l + 1].*value)};
    };
    links.push_back(
        {{"between",
          {plan.network->topology.nodes[link.a].name, plan.network->topology.nodes[link.b].name}},
         {"bytes_per_input", both(&LinkTraffic::bytes_per_input)},
         {"busy", both(&LinkTraffic::busy)}});
  }
  return links;
}

}  // namespace

std::vector<std::string> node_names(const Plan& plan) {
  std::vector<std::string> names;
  if (!plan.network) return names;
  for (const std::size_t node : nodes_of_pools(plan.network->topology))
    names.push_back(plan.network->topology.nodes[node].name);
  return names;
}

json::Json network_json(const Plan& plan) {
  return {{"topology", json::Json::parse(to_json(plan.network->topology))},
          {"boundary_bytes", plan.network->boundary_bytes},
          {"links", links_json(plan)}};
}

PlanNetwork parse_network(const json::Node& node) {
  node.expect_keys({"topology", "boundary_bytes", "links"});
  PlanNetwork network{parse_topology(node["topology"].dump(), "topology of the plan"), {}};
  constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 32U;
  for (const json::Node& bytes : node["boundary_bytes"].elements())
    network.boundary_bytes.push_back(bytes.number(kMostBytes));
  return network;
}

// What links carry follows from the stages.
void check_network(const json::Node& node, const Plan& plan) {
  if (plan.network->boundary_bytes.size() != plan.stages.size() + 1)
    node["boundary_bytes"].fail(fmt::format("must have {} numbers", plan.stages.size() + 1));
  std::vector<PoolName> devices;
  for (const TopologyNode& of : plan.network->topology.nodes)
    devices.insert(devices.end(), of.devices.begin(), of.devices.end());
  // The plan names the device of a device file, not the file, and a single pool without a count.
  const auto is_same = [](const PoolName& given, const PoolName& planned) {
    return (planned.count == 0 || given.count == planned.count) &&
           (given.device == planned.device || given.device.ends_with(".json"));
  };
  if (!std::ranges::equal(devices, plan.devices, is_same))
    node["topology"].fail("must have the devices of the plan, in the order of the nodes");
  if (json::Json::parse(node["links"].dump()) != links_json(plan))
    node["links"].fail("must be what the boundaries of the stages carry");
}

void check_node(const json::Node& element, std::uint32_t pool, std::span<const std::string> nodes) {
  if (pool >= nodes.size())
    element["pool"].fail(fmt::format("the topology has {} pools", nodes.size()));
  if (element["node"].text() != nodes[pool])
    element["node"].fail(fmt::format("must be '{}', the node of pool {}", nodes[pool], pool));
}

}  // namespace segue
