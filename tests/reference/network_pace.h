// The best pipeline on a topology by trying every one, and the law of topology.h read from its
// text. Slow; shares no code with src/plan/internal/network.cc and the planner but the times of
// single segments.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "reference/ideals.h"
#include "segue/cost.h"
#include "segue/graph.h"
#include "segue/topology.h"

namespace segue::testing {

// A stage: devices and times per pool of the topology.
struct PlacedStage {
  std::vector<std::uint32_t> devices;
  std::vector<std::int64_t> time_ns;
  std::vector<std::int64_t> link_ns;
};

struct PlacedPace {
  double period_ns = 0;
  double latency_ns = 0;
};

class NetworkReading {
 public:
  explicit NetworkReading(const Topology& topology)
      : topology_(topology), pools_(open_devices(topology)), nodes_(nodes_of_pools(topology)) {}

  [[nodiscard]] const std::vector<DevicePool>& pools() const { return pools_; }

  // `bytes`: of the stages.size() + 1 boundaries.
  [[nodiscard]] PlacedPace pace(const std::vector<PlacedStage>& stages,
                                const std::vector<std::uint64_t>& bytes) const {
    std::map<std::string, double> busy;
    PlacedPace pace;
    std::vector<double> before = at_entry();
    std::uint32_t devices = 0;
    for (std::size_t s = 0; s < stages.size(); ++s) {
      const std::vector<double> place = place_of(stages[s]);
      pace.latency_ns += cross(before, place, static_cast<double>(bytes[s]), busy);
      before = place;
      run(stages[s], busy, pace);
      for (const std::uint32_t count : stages[s].devices) devices += count;
    }
    pace.latency_ns += cross(before, at_entry(), static_cast<double>(bytes.back()), busy);
    if (devices > 1) pace.latency_ns += static_cast<double>(stages.size()) * hop_ns();
    for (const auto& [resource, ns] : busy) pace.period_ns = std::max(pace.period_ns, ns);
    return pace;
  }

 private:
  [[nodiscard]] std::vector<double> at_entry() const {
    std::vector<double> place(topology_.nodes.size());
    place[topology_.entry] = 1;
    return place;
  }

  [[nodiscard]] double hop_ns() const {
    double slowest = 0;
    for (const DevicePool& pool : pools_)
      slowest = std::max(slowest,
                         pool.device.timing.hop_ns.value * pool.device.timing.host_slowdown.value);
    return std::round(slowest);
  }

  [[nodiscard]] static double rate(const PlacedStage& stage) {
    double sum = 0;
    for (std::size_t p = 0; p < stage.devices.size(); ++p)
      sum += stage.devices[p] / static_cast<double>(stage.time_ns[p]);
    return sum;
  }

  [[nodiscard]] std::vector<double> place_of(const PlacedStage& stage) const {
    std::vector<double> place(topology_.nodes.size());
    for (std::size_t p = 0; p < stage.devices.size(); ++p)
      place[nodes_[p]] += stage.devices[p] / static_cast<double>(stage.time_ns[p]) / rate(stage);
    return place;
  }

  void run(const PlacedStage& stage, std::map<std::string, double>& busy, PlacedPace& pace) const {
    double slowest = 0;
    for (std::size_t p = 0; p < stage.devices.size(); ++p) {
      if (stage.devices[p] == 0) continue;
      const auto total = static_cast<double>(stage.time_ns[p]);
      slowest = std::max(slowest, total);
      if (pools_[p].shares_link)
        busy["devices " + std::to_string(p)] +=
            stage.devices[p] / total / rate(stage) * static_cast<double>(stage.link_ns[p]);
    }
    pace.latency_ns += slowest;
    pace.period_ns = std::max(pace.period_ns, 1 / rate(stage));
  }

  // The only way without a step back, as links that are crossed.
  bool find_way(std::size_t from, std::size_t to, std::size_t came_over,
                std::vector<std::pair<std::size_t, bool>>& way) const {
    if (from == to) return true;
    for (std::size_t l = 0; l < topology_.links.size(); ++l) {
      const TopologyLink& link = topology_.links[l];
      if (l == came_over || (link.a != from && link.b != from)) continue;
      way.emplace_back(l, link.a == from);
      if (find_way(link.a == from ? link.b : link.a, to, l, way)) return true;
      way.pop_back();
    }
    return false;
  }

  [[nodiscard]] double processor_ns_per_byte(std::size_t node) const {
    if (topology_.nodes[node].cores == 0) return 0;
    double slowdown = 1;
    for (std::size_t p = 0; p < pools_.size(); ++p) {
      if (nodes_[p] == node)
        slowdown = std::max(slowdown, pools_[p].device.timing.host_slowdown.value);
    }
    return kNetworkNsPerByte * slowdown;
  }

  // Sends bytes from one node to another; returns the latency.
  double send(std::size_t from, std::size_t to, double part, double bytes,
              std::map<std::string, double>& busy) const {
    if (from == to) return 0;
    std::vector<std::pair<std::size_t, bool>> way;
    find_way(from, to, topology_.links.size(), way);
    double latency = 0;
    double slowest = std::numeric_limits<double>::max();
    for (const auto& [l, is_forward] : way) {
      const TopologyLink& link = topology_.links[l];
      const std::string name = !link.medium.empty() ? "medium " + link.medium
                                                    : "link " + std::to_string(2 * l + is_forward);
      busy[name] += part * bytes / link.bytes_per_s * 1e9;
      latency += static_cast<double>(link.latency.count());
      slowest = std::min(slowest, link.bytes_per_s);
    }
    latency += bytes / slowest * 1e9;
    for (const std::size_t end : {from, to}) {
      if (topology_.nodes[end].cores == 0) continue;
      const double ns = processor_ns_per_byte(end) * bytes;
      busy["processor " + std::to_string(end)] += part * ns / topology_.nodes[end].cores;
      latency += ns;
    }
    return latency;
  }

  double cross(const std::vector<double>& from, const std::vector<double>& to, double bytes,
               std::map<std::string, double>& busy) const {
    constexpr double kRounding = 1e-8;
    double latency = 0;
    for (std::size_t a = 0; a < from.size(); ++a) {
      for (std::size_t b = 0; b < to.size(); ++b) {
        const double part = moved(from, to, a, b);
        if (part < kRounding) continue;
        double way = topology_.relays ? send(a, topology_.entry, part, bytes, busy) +
                                            send(topology_.entry, b, part, bytes, busy)
                                      : send(a, b, part, bytes, busy);
        latency = std::max(latency, way);
      }
    }
    return latency;
  }

  // The share of all inputs that goes from node `a` to node `b`.
  [[nodiscard]] double moved(const std::vector<double>& from, const std::vector<double>& to,
                             std::size_t a, std::size_t b) const {
    if (topology_.relays) return from[a] * to[b];
    double lack = 0;
    for (std::size_t n = 0; n < to.size(); ++n) lack += std::max(0.0, to[n] - from[n]);
    const double leaves = std::max(0.0, from[a] - to[a]);
    const double lacks = std::max(0.0, to[b] - from[b]);
    return lack > 0 ? leaves * lacks / lack : 0;
  }

  const Topology& topology_;
  std::vector<DevicePool> pools_;
  std::vector<std::size_t> nodes_;
};

// Tries every pipeline: every chain of sets closed under "depends on", on all choices of devices.
class BestOnTopology {
 public:
  BestOnTopology(const Graph& graph, const Topology& topology, std::uint32_t max_replicas)
      : graph_(graph), reading_(topology), full_((1U << graph.operator_count()) - 1) {
    std::uint32_t devices = 0;
    for (const DevicePool& pool : reading_.pools()) {
      compilers_.push_back(make_simulated_compiler(pool.device));
      left_.push_back(pool.count);
      devices += pool.count;
    }
    max_replicas_ = max_replicas == 0 ? devices : max_replicas;
    ideals_ = ideals_of(graph);
  }

  [[nodiscard]] std::size_t ideals() const { return ideals_.size(); }

  [[nodiscard]] double period(double max_latency = std::numeric_limits<double>::max()) {
    return search(false, max_latency);
  }
  [[nodiscard]] double latency() { return search(true, std::numeric_limits<double>::max()); }

 private:
  // Bytes of the tensors that operators in the set or the caller write, and others read.
  [[nodiscard]] std::uint64_t boundary(unsigned done) const {
    const Model& model = graph_.model();
    std::set<std::int32_t> known;
    std::set<std::int32_t> needed;
    for (const TensorId id : model.inputs()) known.insert(static_cast<std::int32_t>(index(id)));
    for (const TensorId id : model.outputs()) needed.insert(static_cast<std::int32_t>(index(id)));
    for (std::size_t op = 0; op < graph_.operator_count(); ++op) {
      const Operator& of = model.op(operator_id(op));
      if (done >> op & 1U) {
        known.insert(of.outputs.begin(), of.outputs.end());
      } else {
        needed.insert(of.inputs.begin(), of.inputs.end());
      }
    }
    std::uint64_t bytes = 0;
    for (const std::int32_t t : known) {
      if (needed.contains(t)) bytes += model.tensor(tensor_id(static_cast<std::size_t>(t))).bytes;
    }
    return bytes;
  }

  double search(bool by_latency, double max_latency) {
    by_latency_ = by_latency;
    max_latency_ = max_latency;
    best_ = std::numeric_limits<double>::max();
    extend(0);
    return best_;
  }

  void extend(unsigned done) {
    if (done == full_) {
      std::vector<std::uint64_t> bytes = bytes_;
      bytes.push_back(boundary(full_));
      const PlacedPace pace = reading_.pace(stages_, bytes);
      if (pace.latency_ns <= max_latency_)
        best_ = std::min(best_, by_latency_ ? pace.latency_ns : pace.period_ns);
      return;
    }
    for (const unsigned to : ideals_) {
      if (to == done || (done & ~to) != 0) continue;
      PlacedStage stage{std::vector<std::uint32_t>(left_.size()), {}, {}};
      for (std::size_t pool = 0; pool < left_.size(); ++pool) add_time(stage, to & ~done, pool);
      choose(done, to, stage, 0, 0);
    }
  }

  void add_time(PlacedStage& stage, unsigned operators, std::size_t pool) {
    auto [entry, is_new] = times_.try_emplace({operators, pool});
    if (is_new) {
      std::vector<OperatorId> ids;
      for (std::size_t op = 0; op < graph_.operator_count(); ++op) {
        if (operators >> op & 1U) ids.push_back(operator_id(op));
      }
      entry->second = simulate_segment(graph_, ids, compilers_[pool]->compile(graph_, ids),
                                       reading_.pools()[pool].device);
    }
    stage.time_ns.push_back(entry->second.total().count());
    stage.link_ns.push_back(entry->second.link().count());
  }

  void choose(unsigned done, unsigned to, PlacedStage& stage, std::size_t pool,
              std::uint32_t count) {
    if (pool == left_.size()) {
      if (count == 0 || count > max_replicas_) return;
      stages_.push_back(stage);
      bytes_.push_back(boundary(done));
      extend(to);
      stages_.pop_back();
      bytes_.pop_back();
      return;
    }
    const std::uint32_t most = left_[pool];
    for (std::uint32_t n = 0; n <= most; ++n) {
      stage.devices[pool] = n;
      left_[pool] = most - n;
      choose(done, to, stage, pool + 1, count + n);
    }
    stage.devices[pool] = 0;
    left_[pool] = most;
  }

  const Graph& graph_;
  NetworkReading reading_;
  std::vector<std::unique_ptr<Compiler>> compilers_;
  unsigned full_;
  std::uint32_t max_replicas_ = 0;
  std::vector<unsigned> ideals_;
  std::vector<std::uint32_t> left_;
  std::map<std::pair<unsigned, std::size_t>, SegmentTime> times_;
  std::vector<PlacedStage> stages_;
  std::vector<std::uint64_t> bytes_;
  double max_latency_ = 0;
  double best_ = 0;
  bool by_latency_ = false;
};

// Two to four computers on a tree with up to one switch, with links slow enough to matter for
// models of a few KB, and at most five devices.
inline Topology random_topology(std::mt19937& random) {
  const bool is_even = random() % 3 == 0;  // equal computers on equal links
  const std::vector<std::string> kinds{"edgetpu-pcie", "edgetpu-usb3", "edgetpu-usb3-pi4",
                                       "edgetpu-usb2"};
  Topology topology;
  const std::size_t computers = 2 + random() % (is_even ? 3 : 2);
  const std::string kind = kinds[random() % kinds.size()];
  for (std::size_t n = 0; n < computers; ++n) {
    const std::string own = is_even || random() % 2 == 0 ? kind : kinds[random() % kinds.size()];
    const auto count = is_even ? (computers == 2 ? 2 : 1) : 1 + random() % 2;
    topology.nodes.push_back({"n" + std::to_string(n),
                              parse_devices(std::to_string(count) + "x" + own),
                              static_cast<std::uint32_t>(is_even ? 2 : 1 + random() % 4)});
  }
  if (!is_even && random() % 4 == 0) topology.nodes[random() % computers].devices.clear();
  if (topology.nodes[0].devices.empty() && topology.nodes[1].devices.empty())
    topology.nodes[0].devices = parse_devices("1x" + kind);
  if (random() % 2 == 0) topology.nodes.push_back({"switch", {}, 0});
  for (std::size_t n = 1; n < topology.nodes.size(); ++n) {
    const bool is_medium = random() % 4 == 0;
    if (is_even && n > 1) {
      topology.links.push_back(topology.links[0]);
      topology.links.back().a = n;
      continue;
    }
    topology.links.push_back(
        {n, random() % n, 1e6 * std::pow(2, static_cast<double>(random() % 10)) / 16,
         Nanoseconds(static_cast<std::int64_t>(random() % 50'000)), is_medium ? "air" : ""});
  }
  topology.entry = random() % topology.nodes.size();
  topology.relays = random() % 4 == 0;
  return topology;
}

}  // namespace segue::testing
