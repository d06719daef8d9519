#include "evaluation/paper/topologies.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "evaluation/paper/experiments.h"
#include "evaluation/paper/write_up.h"
#include "segue/graph.h"
#include "segue/planner.h"
#include "segue/topology.h"
#include "segue/zoo.h"

namespace segue::paper {
namespace {

constexpr double kGigabit = 117e6;  // bytes per second, without headers
constexpr double kFast = 11.7e6;    // 100 Mbit/s
constexpr double kWiFi = 5e6;
constexpr Nanoseconds kSwitched{100'000};
constexpr Nanoseconds kInAir{2'000'000};
constexpr std::array kModels{"mobilenetv2", "resnet50", "resnet152"};

struct Computer {
  std::string name;
  std::string devices;
  std::uint32_t cores = 4;
};

// Computers around a switch; the first one is the entry.
Topology star(const std::vector<Computer>& computers, double bytes_per_s = kGigabit,
              Nanoseconds latency = kSwitched, const std::string& medium = "") {
  Topology topology;
  for (const Computer& computer : computers) {
    topology.links.push_back(
        {topology.nodes.size(), computers.size(), bytes_per_s, latency, medium});
    topology.nodes.push_back({computer.name, parse_devices(computer.devices), computer.cores});
  }
  topology.nodes.push_back({"switch", {}, 0});
  return topology;
}

Topology pis(std::size_t count) {
  std::vector<Computer> computers;
  for (std::size_t i = 1; i <= count; ++i)
    computers.push_back({fmt::format("pi{}", i), "1xedgetpu-usb3-pi4"});
  return star(computers);
}

Topology relayed(Topology topology) {
  topology.relays = true;
  return topology;
}

// Two pairs of computers, each on a switch, with a slower link between the switches.
Topology racks() {
  Topology topology;
  for (const char* name : {"a1", "a2", "b1", "b2"})
    topology.nodes.push_back({name, parse_devices("1xedgetpu-pcie"), 8});
  topology.nodes.push_back({"rack-a", {}, 0});
  topology.nodes.push_back({"rack-b", {}, 0});
  for (std::size_t n = 0; n < 4; ++n)
    topology.links.push_back({n, 4 + n / 2, kGigabit, kSwitched, ""});
  topology.links.push_back({4, 5, kFast, kSwitched, ""});
  return topology;
}

struct Case {
  const char* title;
  Topology topology;
};

std::vector<Case> cases() {
  const std::string pi = "1xedgetpu-usb3-pi4";
  return {{"2 Raspberry Pi 4, 1 Gbit/s", pis(2)},
          {"4 Raspberry Pi 4, 1 Gbit/s", pis(4)},
          {"4 Raspberry Pi 4 by `segue cluster`, 1 Gbit/s", relayed(pis(4))},
          {"8 Raspberry Pi 4, 1 Gbit/s", pis(8)},
          {"3 Raspberry Pi 4 on Wi-Fi, 5 MB/s together",
           star({{"pi1", pi}, {"pi2", pi}, {"pi3", pi}}, kWiFi, kInAir, "air")},
          {"a desktop with 2 USB TPUs and 2 Raspberry Pi 4, 1 Gbit/s",
           star({{"desktop", "2xedgetpu-usb3", 8}, {"pi1", pi}, {"pi2", pi}})},
          {"2 servers with 4 PCIe TPUs, 1 Gbit/s",
           star({{"left", "4xedgetpu-pcie", 8}, {"right", "4xedgetpu-pcie", 8}})},
          {"2 racks of 2 servers with a PCIe TPU, 100 Mbit/s between them", racks()}};
}

// Bytes of the inputs and outputs of the whole model.
std::pair<double, double> outer_bytes(const Graph& graph, const Topology& topology) {
  const Segmentation whole{{graph.operators_between(1, graph.depth())}};
  PoolCounts first(open_devices(topology).size());
  first[0] = 1;
  const Plan plan = make_plan(graph, whole, topology, Strategy::kManual, {{first}});
  return {static_cast<double>(plan.network->boundary_bytes.front()),
          static_cast<double>(plan.network->boundary_bytes.back())};
}

// Seconds per input for which resources are busy.
class Busy {
 public:
  explicit Busy(const Topology& topology) : topology_(topology), pools_(open_devices(topology)) {}

  void carry(std::size_t from, std::size_t to, double bytes) {
    if (from == to) return;
    for (const TopologyHop hop : route(topology_, from, to)) {
      const TopologyLink& link = topology_.links[hop.link];
      const std::string channel =
          link.medium.empty() ? fmt::format("{} {}", hop.link, hop.is_forward) : link.medium;
      seconds_[channel] += bytes / link.bytes_per_s;
    }
    for (const std::size_t end : {from, to}) {
      const TopologyNode& node = topology_.nodes[end];
      if (node.cores > 0)
        seconds_[node.name] += 1e-9 * kNetworkNsPerByte * slowdown(end) * bytes / node.cores;
    }
  }
  [[nodiscard]] double most() const {
    double most = 0;
    for (const auto& [name, seconds] : seconds_) most = std::max(most, seconds);
    return most;
  }

 private:
  [[nodiscard]] double slowdown(std::size_t node) const {
    const std::vector<std::size_t> nodes = nodes_of_pools(topology_);
    double slowest = 1;
    for (std::size_t pool = 0; pool < pools_.size(); ++pool) {
      if (nodes[pool] == node)
        slowest = std::max(slowest, pools_[pool].device.timing.host_slowdown.value);
    }
    return slowest;
  }

  const Topology& topology_;
  std::vector<DevicePool> pools_;
  std::map<std::string, double> seconds_;
};

// "switch > pi2: 151 KB, 88 %": the busiest link.
std::string busiest_link(const Plan& plan) {
  const auto traffic = link_traffic(plan);
  const auto most = std::ranges::max_element(traffic, {}, &LinkTraffic::busy);
  if (most->bytes_per_input <= 0) return "none";
  const Topology& topology = plan.network->topology;
  const TopologyLink& link = topology.links[most->link];
  return fmt::format("{} > {}: {:.0f} KB, {:.0f} %",
                     topology.nodes[most->is_forward ? link.a : link.b].name,
                     topology.nodes[most->is_forward ? link.b : link.a].name,
                     most->bytes_per_input / 1e3, 100 * most->busy);
}

Table rows_table(const std::vector<TopologyRow>& rows) {
  Table table{{{"topology", Table::Align::kLeft},
               {"network", Table::Align::kLeft},
               {"Google's cuts in order"},
               {"copies per computer"},
               {"planner"},
               {"with waiting"},
               {"no plan is above"},
               {"stages"},
               {"TPUs"},
               {"busiest link", Table::Align::kLeft}},
              {}};
  for (const TopologyRow& row : rows) {
    const Plan& plan = row.plan;
    table.rows.push_back({row.topology, row.network, fmt::format("{:.1f}", row.in_order_per_s),
                          fmt::format("{:.1f}", row.copies_per_s),
                          fmt::format("{:.1f}", plan.predicted.throughput_per_s),
                          fmt::format("{:.1f}", row.sustained_per_s),
                          fmt::format("{:.1f}", 1 / to_s(plan.bound->value)),
                          std::to_string(plan.stages.size()), std::to_string(plan.device_count()),
                          busiest_link(plan)});
  }
  return table;
}

}  // namespace

double copies_per_s(const Graph& graph, const Topology& topology) {
  const auto [input, output] = outer_bytes(graph, topology);
  std::vector<std::pair<std::size_t, double>> rates;  // nodes with devices, and results per second
  for (std::size_t n = 0; n < topology.nodes.size(); ++n) {
    if (topology.nodes[n].devices.empty()) continue;
    const auto pools = open_devices(topology.nodes[n].devices, 1);
    rates.emplace_back(
        n, plan_by_strategy(graph, pools, Strategy::kOptimal).plan.predicted.throughput_per_s);
  }
  double best = 0;
  for (std::size_t choice = 1; choice < std::size_t{1} << rates.size(); ++choice) {
    const auto is_chosen = [&](std::size_t i) { return (choice >> i & 1U) != 0; };
    double rate = 0;
    for (std::size_t i = 0; i < rates.size(); ++i) rate += is_chosen(i) ? rates[i].second : 0;
    Busy busy(topology);
    for (std::size_t i = 0; i < rates.size(); ++i) {
      if (!is_chosen(i)) continue;
      const auto [node, of_node] = rates[i];
      busy.carry(topology.entry, node, of_node / rate * input);
      busy.carry(node, topology.entry, of_node / rate * output);
    }
    best = std::max(best, std::min(rate, 1 / busy.most()));
  }
  return best;
}

std::vector<TopologyRow> topology_rows() {
  std::vector<TopologyRow> rows;
  for (const char* name : kModels) {
    const Model model = open_model(fmt::format("zoo:{}", name));
    const Graph graph(model);
    for (const Case& one : cases()) {
      Plan plan = plan_on_topology(graph, one.topology);
      const double sustained = sustained_per_s(plan, open_devices(one.topology));
      rows.push_back({one.title, name, std::move(plan), sustained,
                      plan_in_order(graph, one.topology).predicted.throughput_per_s,
                      copies_per_s(graph, one.topology)});
    }
  }
  return rows;
}

Experiment topologies_experiment(Evaluation& /*nothing of it is needed*/) {
  const std::vector<TopologyRow> rows = topology_rows();
  const auto over = [&](double TopologyRow::*other) {
    std::vector<double> ratios;
    for (const TopologyRow& row : rows)
      ratios.push_back(row.plan.predicted.throughput_per_s / (row.*other));
    std::ranges::sort(ratios);
    return fmt::format("{:.2f} to {:.2f}", ratios.front(), ratios.back());
  };
  const auto proven =
      std::ranges::count_if(rows, [](const TopologyRow& row) { return row.plan.bound->is_proven; });
  Experiment experiment{
      "topologies",
      "Several computers: the planner next to Google's cuts in order, and to copies",
      fmt::format("On {} topologies with {} networks each, the planner gives {} times the "
                  "throughput of Google's cuts in order and {} times that of copies; {} of {} "
                  "plans are proven optimal.",
                  cases().size(), kModels.size(), over(&TopologyRow::in_order_per_s),
                  over(&TopologyRow::copies_per_s), proven, rows.size()),
      "",
      {{"rows", "Results per second, simulated", rows_table(rows)}},
      {}};
  write_readme(experiment);
  return experiment;
}

}  // namespace segue::paper
