#include "plan/internal/network.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "plan/internal/prediction.h"
#include "segue/error.h"

namespace segue {
namespace {

// Shares are whole multiples of this, so that equal ones compare equal.
constexpr double kShare = 1.0 / (1 << 30);
// Smaller parts are rounding.
constexpr double kNoShare = 4 * kShare;

std::vector<StageShare> shares_per_pool(const Stage& stage, std::size_t pools) {
  std::vector<StageShare> shares(pools);
  for (const StageDevices& kind : devices_of(stage)) {
    if (kind.pool >= pools)
      throw Error(ErrorCode::kInvalidArgument, "a stage uses devices that the topology lacks");
    shares[kind.pool] = {kind.replicas, kind.time.total().count()};
  }
  return shares;
}

}  // namespace

BoundaryBytes::BoundaryBytes(const Graph& graph) {
  const Model& model = graph.model();
  std::map<std::size_t, Crossing> tensors;  // by position; constants are not among them
  for (const TensorId id : model.inputs()) tensors[index(id)];
  for (std::size_t op = 0; op < model.operators().size(); ++op) {
    for (const std::int32_t t : model.operators()[op].outputs) {
      if (t >= 0) tensors[static_cast<std::size_t>(t)].writer = op;
    }
  }
  const auto find = [&](std::int32_t t) {
    return t < 0 ? tensors.end() : tensors.find(static_cast<std::size_t>(t));
  };
  for (std::size_t op = 0; op < model.operators().size(); ++op) {
    for (const std::int32_t t : model.operators()[op].inputs) {
      if (const auto found = find(t); found != tensors.end()) found->second.readers.push_back(op);
    }
  }
  for (const TensorId id : model.outputs()) {
    if (const auto found = tensors.find(index(id)); found != tensors.end())
      found->second.is_output = true;
  }
  for (auto& [position, tensor] : tensors) {
    tensor.bytes = model.tensor(tensor_id(position)).bytes;
    tensors_.push_back(std::move(tensor));
  }
}

std::vector<std::uint64_t> boundary_bytes(const Graph& graph, const Segmentation& segmentation) {
  const BoundaryBytes bytes(graph);
  std::vector<bool> inside(graph.operator_count());
  const auto is_inside = [&](std::size_t op) { return inside[op]; };
  std::vector<std::uint64_t> result{bytes(is_inside)};
  for (const auto& segment : segmentation.segments) {
    for (const OperatorId id : segment) inside[index(id)] = true;
    result.push_back(bytes(is_inside));
  }
  return result;
}

NetworkLaw::NetworkLaw(const Topology& topology, std::span<const DevicePool> pools)
    : topology_(topology),
      node_of_pool_(nodes_of_pools(topology)),
      processor_ns_per_byte_(topology.nodes.size()) {
  if (node_of_pool_.size() != pools.size())
    throw Error(ErrorCode::kInvalidArgument,
                "the devices are not those of the plan's topology; leave out the list of devices");
  std::map<std::string, std::size_t> media;
  for (const TopologyLink& link : topology.links) {
    for (int direction = 0; direction < 2; ++direction) {
      const auto known = media.find(link.medium);
      const bool is_known = !link.medium.empty() && known != media.end();
      channel_.push_back(is_known ? known->second : channels_++);
      if (!link.medium.empty()) media.emplace(link.medium, channel_.back());
    }
  }
  std::vector<double> slowdown(topology.nodes.size(), 1);
  for (std::size_t pool = 0; pool < pools.size(); ++pool) {
    double& slowest = slowdown[node_of_pool_[pool]];
    slowest = std::max(slowest, pools[pool].device.timing.host_slowdown.value);
  }
  for (std::size_t from = 0; from < topology.nodes.size(); ++from) {
    if (topology.nodes[from].cores > 0)
      processor_ns_per_byte_[from] = kNetworkNsPerByte * slowdown[from];
    for (std::size_t to = 0; to < topology.nodes.size(); ++to)
      routes_.push_back(route(topology, from, to));
  }
}

NetworkLaw::Place NetworkLaw::place_of(std::span<const StageShare> shares) const {
  Place place(topology_.nodes.size());
  const double rate = stage_rate(shares);
  for (std::size_t pool = 0; pool < shares.size(); ++pool) {
    if (shares[pool].devices > 0) place[node_of_pool_[pool]] += stage_rate(shares[pool]) / rate;
  }
  for (double& share : place) share = std::round(share / kShare) * kShare;
  return place;
}

NetworkLaw::Place NetworkLaw::entry() const {
  Place place(topology_.nodes.size());
  place[topology_.entry] = 1;
  return place;
}

// `part` of the bytes go from one node to another, each node that is passed forwarding them.
void NetworkLaw::add_way(Transfer& transfer, std::size_t from, std::size_t to, double part) const {
  Transfer::Way& way = transfer.ways.back();
  double slowest_ns_per_byte = 0;
  for (const TopologyHop hop : routes_[from * topology_.nodes.size() + to]) {
    const TopologyLink& link = topology_.links[hop.link];
    transfer.flows[2 * hop.link + (hop.is_forward ? 0 : 1)] += part;
    way.fixed_ns += static_cast<double>(link.latency.count());
    slowest_ns_per_byte = std::max(slowest_ns_per_byte, 1e9 / link.bytes_per_s);
  }
  way.ns_per_byte += slowest_ns_per_byte;
  if (from == to) return;
  for (const std::size_t end : {from, to}) {
    transfer.ends[end] += part;
    way.ns_per_byte += processor_ns_per_byte_[end];
  }
}

NetworkLaw::Transfer NetworkLaw::transfer(const Place& from, const Place& to) const {
  const std::size_t nodes = topology_.nodes.size();
  Transfer result;
  result.flows.resize(channel_.size());
  result.ends.resize(nodes);
  Place left(nodes);
  Place lacks(nodes);
  double missing = 0;
  for (std::size_t n = 0; n < nodes; ++n) {
    const double stays = topology_.relays ? 0 : std::min(from[n], to[n]);
    left[n] = from[n] - stays;
    lacks[n] = to[n] - stays;
    missing += lacks[n];
  }
  for (std::size_t a = 0; a < nodes && missing > kNoShare; ++a) {
    for (std::size_t b = 0; b < nodes; ++b) {
      const double part = left[a] * lacks[b] / missing;
      if (part < kNoShare) continue;
      result.ways.emplace_back();
      if (!topology_.relays) {
        add_way(result, a, b, part);
        continue;
      }
      add_way(result, a, topology_.entry, part);
      add_way(result, topology_.entry, b, part);
    }
  }
  result.ns_per_byte.resize(resources());
  for (std::size_t d = 0; d < channel_.size(); ++d) {
    result.ns_per_byte[channel_[d]] += result.flows[d] * 1e9 / topology_.links[d / 2].bytes_per_s;
    result.hops += result.flows[d];
  }
  for (std::size_t n = 0; n < nodes; ++n) {
    if (topology_.nodes[n].cores > 0)
      result.ns_per_byte[processor_of(n)] =
          result.ends[n] * processor_ns_per_byte_[n] / topology_.nodes[n].cores;
  }
  return result;
}

std::int64_t NetworkLaw::Transfer::busy_ns(std::size_t resource, std::uint64_t bytes) const {
  return std::llround(ns_per_byte[resource] * static_cast<double>(bytes));
}

std::int64_t NetworkLaw::Transfer::latency_ns(std::uint64_t bytes) const {
  double slowest = 0;
  for (const Way& way : ways)
    slowest = std::max(slowest, way.fixed_ns + way.ns_per_byte * static_cast<double>(bytes));
  return std::llround(slowest);
}

std::vector<NetworkLaw::Transfer> transfers_of(const NetworkLaw& law, std::span<const Stage> stages,
                                               std::size_t pools) {
  std::vector<NetworkLaw::Transfer> transfers;
  NetworkLaw::Place before = law.entry();
  for (const Stage& stage : stages) {
    NetworkLaw::Place place = law.place_of(shares_per_pool(stage, pools));
    transfers.push_back(law.transfer(before, place));
    before = std::move(place);
  }
  transfers.push_back(law.transfer(before, law.entry()));
  return transfers;
}

NetworkUse network_use(const NetworkLaw& law, const PlanNetwork& network,
                       std::span<const Stage> stages, std::size_t pools) {
  NetworkUse use{std::vector<std::int64_t>(law.resources())};
  const auto transfers = transfers_of(law, stages, pools);
  if (transfers.size() != network.boundary_bytes.size())
    throw Error(ErrorCode::kInvalidArgument, "the plan's boundaries do not match its stages");
  const auto add = [](std::int64_t& sum_ns, std::int64_t more_ns) {
    constexpr std::int64_t kLongestNs = 1'000'000'000'000'000'000;  // 30 years
    if (sum_ns > kLongestNs - more_ns)
      throw Error(ErrorCode::kInvalidArgument, "the network takes more than 30 years per input");
    sum_ns += more_ns;
  };
  for (std::size_t b = 0; b < transfers.size(); ++b) {
    for (std::size_t r = 0; r < use.busy_ns.size(); ++r)
      add(use.busy_ns[r], transfers[b].busy_ns(r, network.boundary_bytes[b]));
    add(use.latency_ns, transfers[b].latency_ns(network.boundary_bytes[b]));
  }
  return use;
}

NetworkPart::NetworkPart(std::span<const Stage> stages, std::span<const DevicePool> pools,
                         const std::optional<PlanNetwork>& network) {
  if (!network) return;
  const NetworkLaw law(network->topology, pools);
  nodes_ = nodes_of_pools(network->topology);
  use_ = network_use(law, *network, stages, pools.size());
  for (std::size_t n = 0; n < network->topology.nodes.size(); ++n)
    processors_.push_back({law.processor_of(n), network->topology.nodes[n].cores});
}

std::int64_t NetworkPart::period_ns(std::span<const StageUses> stages) const {
  std::vector<std::int64_t> busy = use_.busy_ns;
  std::vector<std::int64_t> host(processors_.size());
  for (const StageUses& stage : stages) {
    const auto shares = shares_of(stage);
    for (std::size_t kind = 0; kind < stage.size() && !nodes_.empty(); ++kind)
      host[nodes_[stage[kind].pool]] += stage_busy_ns(shares, kind, stage[kind].host_ns);
  }
  for (std::size_t n = 0; n < processors_.size(); ++n) {
    if (processors_[n].cores > 0) busy[processors_[n].resource] += host[n] / processors_[n].cores;
  }
  return busy.empty() ? 0 : std::ranges::max(busy);
}

Plan make_plan(const Graph& graph, const Segmentation& segmentation, const Topology& topology,
               Strategy strategy, std::span<const PoolCounts> devices) {
  const std::vector<DevicePool> pools = open_devices(topology);
  Plan plan = make_plan(graph, segmentation, pools, strategy, devices);
  plan.network = PlanNetwork{topology, boundary_bytes(graph, segmentation)};
  update_prediction(plan, pools);
  return plan;
}

std::vector<LinkTraffic> link_traffic(const Plan& plan) {
  std::vector<LinkTraffic> result;
  if (!plan.network) return result;
  const Topology& topology = plan.network->topology;
  // Bytes do not depend on the devices' hosts.
  const std::vector<DevicePool> pools(nodes_of_pools(topology).size(),
                                      DevicePool{device_catalogue()[0]});
  const NetworkLaw law(topology, pools);
  const auto transfers = transfers_of(law, plan.stages, pools.size());
  const NetworkUse use = network_use(law, *plan.network, plan.stages, pools.size());
  for (std::size_t d = 0; d < 2 * topology.links.size(); ++d) {
    LinkTraffic& traffic = result.emplace_back(LinkTraffic{d / 2, d % 2 == 0});
    for (std::size_t b = 0; b < transfers.size(); ++b) {
      traffic.bytes_per_input +=
          transfers[b].flows[d] * static_cast<double>(plan.network->boundary_bytes[b]);
    }
    const std::int64_t busy_ns = use.busy_ns[law.channel_of(traffic.link, traffic.is_forward)];
    const auto period_ns = static_cast<double>(plan.predicted.bottleneck.count());
    traffic.busy = period_ns > 0 ? static_cast<double>(busy_ns) / period_ns : 0;
  }
  return result;
}

}  // namespace segue
