#include "planner/topology/equal_nodes.h"

#include <algorithm>
#include <optional>

namespace segue {
namespace {

// The link of a node with a single one, as seen from there: `b` is the other end.
std::optional<TopologyLink> only_link(const Topology& topology, std::size_t node) {
  std::optional<TopologyLink> only;
  for (const TopologyLink& link : topology.links) {
    if (link.a != node && link.b != node) continue;
    if (only) return std::nullopt;
    only = TopologyLink{0, link.a == node ? link.b : link.a, link.bytes_per_s, link.latency,
                        link.medium};
  }
  return only;
}

bool are_equal(const Topology& topology, std::size_t a, std::size_t b) {
  const auto link = only_link(topology, a);
  TopologyNode same = topology.nodes[a];
  same.name = topology.nodes[b].name;
  return link && link == only_link(topology, b) && same == topology.nodes[b] &&
         a != topology.entry && b != topology.entry;
}

}  // namespace

EqualNodes::EqualNodes(const Topology& topology, std::span<const std::size_t> node_of_pool) {
  std::vector<std::size_t> first;  // node of each class
  for (std::size_t node = 0; node < topology.nodes.size(); ++node) {
    Pools pools;
    for (std::size_t pool = 0; pool < node_of_pool.size(); ++pool) {
      if (node_of_pool[pool] == node) pools.push_back(pool);
    }
    if (pools.empty()) continue;
    const auto known = std::ranges::find_if(
        first, [&](std::size_t other) { return are_equal(topology, other, node); });
    const auto position = static_cast<std::size_t>(known - first.begin());
    if (known == first.end()) {
      first.push_back(node);
      const auto& devices = topology.nodes[node].devices;
      classes_.push_back({{}, devices.size() == 1 && devices[0].count == 1});
    }
    classes_[position].computers.push_back(std::move(pools));
  }
  std::erase_if(classes_, [](const Class& one) { return one.computers.size() == 1; });
}

bool EqualNodes::may_be_in_order(const Allotment& devices) const {
  return std::ranges::all_of(classes_, [&](const Class& one) {
    int blocks = 0;
    bool is_in_block = false;
    for (const Pools& pools : one.computers) {
      const bool is_taken = devices[pools[0]] > 0;
      if (is_taken && !is_in_block) ++blocks;
      is_in_block = is_taken;
    }
    return !one.have_one_device || blocks <= 1;
  });
}

bool EqualNodes::are_in_order(const Allotment& used, const Allotment& devices) const {
  const auto is_used = [&](std::size_t pool) { return used[pool] > 0; };
  for (const Class& one : classes_) {
    const Pools* before = nullptr;
    for (const Pools& pools : one.computers) {
      if (std::ranges::any_of(pools, is_used)) continue;
      for (std::size_t i = 0; before != nullptr && i < pools.size(); ++i) {
        const std::uint16_t ours = devices[pools[i]];
        const std::uint16_t theirs = devices[(*before)[i]];
        if (ours > theirs) return false;
        if (ours < theirs) break;
      }
      before = &pools;
    }
  }
  return true;
}

}  // namespace segue
