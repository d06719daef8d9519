/// Topologies: computers with their devices, and the network between them.
///
/// A topology is a tree. Its nodes are computers and switches, its links are the only way between
/// two nodes. Inputs enter and outputs leave at one node. `PlanRequest::topology` (planner.h) plans
/// for all devices of a topology together, and the plan says what each link carries.
///
/// Example:
///
///     const segue::Topology topology = segue::read_topology("three-hosts.json");
///     const std::vector<segue::DevicePool> pools = segue::open_devices(topology);
///     std::printf("%u TPUs on %zu nodes\n", segue::device_count(pools), topology.nodes.size());
///
/// File format: schema "segue.topology/1" (docs/schemas/segue.topology.1.json):
///
///     { "schema": "segue.topology/1",
///       "nodes": [ {"name": "pi1", "devices": "1xedgetpu-usb3-pi4", "cores": 4},
///                  {"name": "pi2", "devices": "1xedgetpu-usb3-pi4", "cores": 4},
///                  {"name": "switch"} ],
///       "links": [ {"between": ["pi1", "switch"], "bytes_per_s": 117000000, "latency_ns": 100000},
///                  {"between": ["pi2", "switch"], "bytes_per_s": 117000000, "latency_ns": 100000,
///                   "medium": "cable"} ],                                    (medium: optional)
///       "entry": "pi1",                               (optional; default: the first node)
///       "relay": false }                              (optional)
///
/// A node without `devices` is a switch, or a computer without TPUs. One with `cores` spends time
/// of its processor on tensors that it sends or receives; devices need `cores`.
///
/// **What a boundary carries.** A pipeline with k stages has k + 1 boundaries: before the first
/// stage, between two stages, and behind the last one. A boundary carries once each tensor that
/// exists before it, and that a later stage reads or the model returns. So a tensor that skips a
/// stage passes its node too.
///
/// **Replicas** of a stage may be on several nodes. Each serves inputs in proportion to its speed.
/// Between two stages an input stays on its node as far as the next stage has a share there; the
/// rest goes to the other nodes in proportion to the shares that these lack. With `relay`, every
/// tensor passes the entry node between two stages, as in `segue cluster`, whose pushing process
/// carries all tensors (docs/cluster.md).
///
/// **Time.** A link has its bandwidth in each direction; links with the same `medium` share one
/// channel for all directions (Wi-Fi, a bus, a common uplink). Per input, a channel is busy for the
/// bytes that pass it divided by the bandwidth, and a processor for kNetworkNsPerByte for each byte
/// that its node sends or receives, divided by the cores. The time between two results is at least
/// the largest of these. The latency of a boundary is that of the slowest way between replicas:
/// latencies of its links, the bytes divided by the smallest bandwidth, and both processors.
///
/// Thread-safety: all types are plain values and all functions are pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "segue/device.h"
#include "segue/units.h"

namespace [[gnu::visibility("default")]] segue {

/// Time of one core for each byte that a node sends, and for each that it receives, on a desktop
/// computer; multiplied by the largest Timing::host_slowdown of the node's devices. Source:
/// docs/cluster.md, "Overhead": 1.5 ms of CPU time per hop of 400 KB for both ends together, Ray
/// with tensors in pieces, two desktop cores.
inline constexpr double kNetworkNsPerByte = 1.875;

/// A computer or a switch.
struct TopologyNode {
  std::string name;
  std::vector<PoolName> devices;  // empty: none
  std::uint32_t cores = 0;        // of the processor; 0: a switch
  friend bool operator==(const TopologyNode&, const TopologyNode&) = default;
};

/// A connection of two nodes.
struct TopologyLink {
  std::size_t a = 0;  // positions of nodes
  std::size_t b = 0;
  double bytes_per_s = 0;  // in each direction, or of the medium
  Nanoseconds latency{0};  // in one direction
  std::string medium;      // empty: not shared
  friend bool operator==(const TopologyLink&, const TopologyLink&) = default;
};

/// Nodes, links, and where inputs enter and outputs leave.
struct Topology {
  std::vector<TopologyNode> nodes;
  std::vector<TopologyLink> links;
  std::size_t entry = 0;  // position of a node
  bool relays = false;    // tensors between stages pass the entry node
  friend bool operator==(const Topology&, const Topology&) = default;
};

inline constexpr std::size_t kMostNodes = 64;

/// Throws Error(kInvalidArgument) when there is no device, the nodes and links are not a tree, two
/// nodes have the same name, or a number is out of range.
void check_topology(const Topology& topology);

/// Parses the text of a topology file. `label` names the source in messages. Throws
/// Error(kInvalidArgument) with the path of the invalid key ("links[1].bytes_per_s"), and as
/// check_topology.
[[nodiscard]] Topology parse_topology(std::string_view text, const std::string& label);

/// Reads a topology file. Throws Error(kIo), and as parse_topology.
[[nodiscard]] Topology read_topology(const std::filesystem::path& path);

/// Returns the text of a topology file.
[[nodiscard]] std::string to_json(const Topology& topology);

/// Opens the devices of all nodes, in the order of the nodes. Throws as open_devices, and
/// Error(kInvalidArgument) for devices whose host slows down (Timing::busy_stretch), which the law
/// above does not describe.
[[nodiscard]] std::vector<DevicePool> open_devices(
    const Topology& topology, std::span<const DeviceSpec> catalogue = device_catalogue());

/// Returns the position of each pool's node, for the pools of open_devices.
[[nodiscard]] std::vector<std::size_t> nodes_of_pools(const Topology& topology);

/// A link in one direction, on the way between two nodes.
struct TopologyHop {
  std::size_t link = 0;
  bool is_forward = true;  // from `a` to `b`
};

/// Returns the links between two nodes, in order. Empty if they are the same.
[[nodiscard]] std::vector<TopologyHop> route(const Topology& topology, std::size_t from,
                                             std::size_t to);

}  // namespace segue
