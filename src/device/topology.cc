#include "segue/topology.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>

#include "base/internal/json/node.h"
#include "segue/error.h"
#include "segue/file.h"

namespace segue {
namespace {

using json::Json;
using json::Node;

constexpr std::string_view kSchema = "segue.topology/1";
constexpr std::size_t kLargestFileBytes = std::size_t{1} << 20U;
constexpr std::size_t kLongestName = 100;
constexpr double kLeastBytesPerS = 1e3;
constexpr double kMostBytesPerS = 1e13;
constexpr std::uint64_t kLongestLatencyNs = 60'000'000'000;
constexpr std::uint32_t kMostCores = 1024;

[[noreturn]] void fail(const std::string& reason) {
  throw Error(ErrorCode::kInvalidArgument, reason);
}

void check_name(const Node& node) {
  const std::string name = node.text();
  const auto is_control = [](unsigned char c) { return c < ' ' || c == 0x7F; };
  if (name.empty() || name.size() > kLongestName || std::ranges::any_of(name, is_control))
    node.fail(fmt::format("must have 1 to {} bytes without control characters", kLongestName));
}

TopologyNode parse_node(const Node& node) {
  node.expect_keys({"name"}, {"devices", "cores"});
  check_name(node["name"]);
  TopologyNode result{node["name"].text(), {}, 0};
  if (node.has("cores")) {
    result.cores = static_cast<std::uint32_t>(node["cores"].number(kMostCores));
    if (result.cores == 0) node["cores"].fail(fmt::format("must be from 1 to {}", kMostCores));
  }
  if (!node.has("devices")) return result;
  if (result.cores == 0) node.fail("has devices, but no \"cores\"; add the number of its cores");
  result.devices =
      node["devices"].text_as([](std::string_view names) { return parse_devices(names); });
  for (PoolName& pool : result.devices) pool.count = std::max(pool.count, 1U);
  return result;
}

std::size_t position_of(const Topology& topology, const Node& name) {
  const auto found = std::ranges::find(topology.nodes, name.text(), &TopologyNode::name);
  if (found == topology.nodes.end()) name.fail(fmt::format("there is no node '{}'", name.text()));
  return static_cast<std::size_t>(found - topology.nodes.begin());
}

TopologyLink parse_link(const Topology& topology, const Node& node) {
  node.expect_keys({"between", "bytes_per_s", "latency_ns"}, {"medium"});
  const auto ends = node["between"].elements();
  if (ends.size() != 2) node["between"].fail("must name two nodes");
  TopologyLink link{
      position_of(topology, ends[0]), position_of(topology, ends[1]), node["bytes_per_s"].real(),
      Nanoseconds(static_cast<std::int64_t>(node["latency_ns"].number(kLongestLatencyNs))), ""};
  if (link.a == link.b) node["between"].fail("must name two different nodes");
  if (!(link.bytes_per_s >= kLeastBytesPerS && link.bytes_per_s <= kMostBytesPerS))
    node["bytes_per_s"].fail(fmt::format("is {:g}; must be from {:g} to {:g}", link.bytes_per_s,
                                         kLeastBytesPerS, kMostBytesPerS));
  if (node.has("medium")) {
    check_name(node["medium"]);
    link.medium = node["medium"].text();
  }
  return link;
}

// The positions of all nodes that links connect with the first one.
std::set<std::size_t> reached_nodes(const Topology& topology) {
  std::set<std::size_t> reached{0};
  for (std::size_t round = 0; round < topology.nodes.size(); ++round) {
    for (const TopologyLink& link : topology.links) {
      if (reached.contains(link.a)) reached.insert(link.b);
      if (reached.contains(link.b)) reached.insert(link.a);
    }
  }
  return reached;
}

void check_tree(const Topology& topology) {
  const auto reached = reached_nodes(topology);
  for (std::size_t n = 0; n < topology.nodes.size(); ++n) {
    if (reached.contains(n)) continue;
    fail(fmt::format("no link leads from node '{}' to node '{}'", topology.nodes[0].name,
                     topology.nodes[n].name));
  }
  if (topology.links.size() + 1 == topology.nodes.size()) return;
  fail(
      fmt::format("{} links between {} nodes leave two ways between some of them; a topology is "
                  "a tree: keep the links that carry the traffic",
                  topology.links.size(), topology.nodes.size()));
}

}  // namespace

void check_topology(const Topology& topology) {
  if (topology.nodes.empty() || topology.nodes.size() > kMostNodes)
    fail(fmt::format("{} nodes; a topology has 1 to {}", topology.nodes.size(), kMostNodes));
  std::set<std::string_view> names;
  for (const TopologyNode& node : topology.nodes) {
    if (!names.insert(node.name).second) fail(fmt::format("two nodes are named '{}'", node.name));
    if (!node.devices.empty() && node.cores == 0)
      fail(fmt::format("node '{}' has devices, but no cores", node.name));
    if (node.cores > kMostCores)
      fail(fmt::format("node '{}' has {} cores; at most {}", node.name, node.cores, kMostCores));
  }
  if (topology.entry >= topology.nodes.size()) fail("the entry is not a node");
  for (const TopologyLink& link : topology.links) {
    if (link.a >= topology.nodes.size() || link.b >= topology.nodes.size() || link.a == link.b)
      fail("a link must connect two different nodes");
    if (!(link.bytes_per_s >= kLeastBytesPerS && link.bytes_per_s <= kMostBytesPerS) ||
        link.latency < Nanoseconds(0) || link.latency > Nanoseconds(kLongestLatencyNs))
      fail("the bandwidth or the latency of a link is out of range");
  }
  if (nodes_of_pools(topology).empty()) fail("no node has devices");
  check_tree(topology);
}

Topology parse_topology(std::string_view text, const std::string& label) {
  const Json document = json::parse(text, label);
  const Node root(document, "", label);
  root.expect_kind("segue.topology");
  root.expect_keys({"schema", "nodes", "links"}, {"entry", "relay"});
  root["schema"].expect_schema(kSchema);
  Topology topology;
  if (root["nodes"].elements().size() > kMostNodes)
    root["nodes"].fail(fmt::format("must be at most {}", kMostNodes));
  for (const Node& node : root["nodes"].elements()) topology.nodes.push_back(parse_node(node));
  for (const Node& link : root["links"].elements())
    topology.links.push_back(parse_link(topology, link));
  if (root.has("entry")) topology.entry = position_of(topology, root["entry"]);
  if (root.has("relay")) topology.relays = root["relay"].truth();
  try {
    check_topology(topology);
  } catch (const Error& error) {
    root.fail(error.what());
  }
  return topology;
}

Topology read_topology(const std::filesystem::path& path) {
  return parse_topology(read_text_file(path, kLargestFileBytes), path.string());
}

std::string to_json(const Topology& topology) {
  Json nodes = Json::array();
  for (const TopologyNode& node : topology.nodes) {
    nodes.push_back({{"name", node.name}});
    if (!node.devices.empty()) nodes.back()["devices"] = to_string(node.devices);
    if (node.cores > 0) nodes.back()["cores"] = node.cores;
  }
  Json links = Json::array();
  for (const TopologyLink& link : topology.links) {
    links.push_back({{"between", {topology.nodes[link.a].name, topology.nodes[link.b].name}},
                     {"bytes_per_s", link.bytes_per_s},
                     {"latency_ns", link.latency.count()}});
    if (!link.medium.empty()) links.back()["medium"] = link.medium;
  }
  return json::to_text({{"schema", kSchema},
                        {"nodes", std::move(nodes)},
                        {"links", std::move(links)},
                        {"entry", topology.nodes[topology.entry].name},
                        {"relay", topology.relays}});
}

namespace {

bool have_same_constants(DeviceSpec a, DeviceSpec b) {
  return std::ranges::all_of(device_constants(), [&](const NamedConstant& constant) {
    return constant.of(a)->value == constant.of(b)->value;
  });
}

// Searches and proofs tell kinds of devices apart by their names.
void check_names_of_kinds(std::span<const DevicePool> pools) {
  for (std::size_t i = 0; i < pools.size(); ++i) {
    for (const DevicePool& other : pools.subspan(i + 1)) {
      if (pools[i].device.name == other.device.name &&
          !have_same_constants(pools[i].device, other.device))
        fail(fmt::format("two device files are named '{}', but have other constants; rename one",
                         other.device.name));
    }
  }
}

}  // namespace

std::vector<DevicePool> open_devices(const Topology& topology,
                                     std::span<const DeviceSpec> catalogue) {
  std::vector<DevicePool> pools;
  for (const TopologyNode& node : topology.nodes) {
    if (node.devices.empty()) continue;
    for (DevicePool& pool : open_devices(node.devices, 1, catalogue)) {
      if (pool.device.timing.busy_stretch.value > 1)
        fail(
            fmt::format("node '{}': a topology does not support '{}', whose host slows down; use "
                        "its variant without \"busy\"",
                        node.name, pool.device.name));
      pools.push_back(std::move(pool));
    }
  }
  check_names_of_kinds(pools);
  return pools;
}

std::vector<std::size_t> nodes_of_pools(const Topology& topology) {
  std::vector<std::size_t> nodes;
  for (std::size_t n = 0; n < topology.nodes.size(); ++n)
    nodes.insert(nodes.end(), topology.nodes[n].devices.size(), n);
  return nodes;
}

std::vector<TopologyHop> route(const Topology& topology, std::size_t from, std::size_t to) {
  // Breadth first from the end, so that the way back from `from` is in order.
  std::vector<std::optional<TopologyHop>> next(topology.nodes.size());
  std::vector<std::size_t> reached{to};
  for (std::size_t i = 0; i < reached.size(); ++i) {
    for (std::size_t l = 0; l < topology.links.size(); ++l) {
      const TopologyLink& link = topology.links[l];
      if (link.a != reached[i] && link.b != reached[i]) continue;
      const std::size_t other = link.a == reached[i] ? link.b : link.a;
      if (other == to || next[other]) continue;
      next[other] = TopologyHop{l, link.a == other};
      reached.push_back(other);
    }
  }
  std::vector<TopologyHop> hops;
  while (from != to) {
    const TopologyHop hop = next[from].value();
    hops.push_back(hop);
    from = hop.is_forward ? topology.links[hop.link].b : topology.links[hop.link].a;
  }
  return hops;
}

}  // namespace segue
