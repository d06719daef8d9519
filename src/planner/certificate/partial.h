// What the checker knows of the stages before an ideal, and what boundaries on a network add to it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "device/edgetpu/internal/stage_pace.h"
#include "plan/internal/network.h"
#include "planner/certificate/wide.h"
#include "segue/device.h"
#include "segue/graph.h"
#include "segue/plan.h"

namespace segue {

// Resources of the stages before an ideal.
struct Taken {
  std::vector<std::uint32_t> devices;  // per pool
  std::vector<std::int64_t> link_ns;   // per pool
  std::int64_t latency_ns = 0;
  std::vector<std::int64_t> network_ns = {};  // per resource of the network
  NetworkLaw::Place place = {};               // of the last stage

  [[nodiscard]] bool is_no_worse(const Taken& other) const {
    const auto no_more = [](const auto& a, const auto& b) {
      return std::ranges::equal(a, b, std::ranges::less_equal{});
    };
    return latency_ns <= other.latency_ns && place == other.place &&
           no_more(devices, other.devices) && no_more(link_ns, other.link_ns) &&
           no_more(network_ns, other.network_ns);
  }
};

// The boundaries of a plan with a network; without one, they take nothing.
class Boundaries {
 public:
  Boundaries(const Graph& graph, std::span<const DevicePool> pools,
             const std::optional<PlanNetwork>& network, const std::vector<OperatorSet>& ideals) {
    if (!network) return;
    law_.emplace(network->topology, pools);
    const BoundaryBytes bytes(graph);
    for (const OperatorSet& ideal : ideals)
      bytes_.push_back(bytes([&](std::size_t op) { return ideal[op]; }));
  }

  void begin(Taken& taken) const {
    if (!law_) return;
    taken.place = law_->entry();
    taken.network_ns.resize(law_->resources());
  }
  // A stage after the boundary at `ideal`.
  void enter(Taken& taken, std::span<const StageShare> shares, std::size_t ideal) {
    if (law_) cross(taken, law_->place_of(shares), ideal);
  }
  void end(Taken& taken) {
    if (law_) cross(taken, law_->entry(), bytes_.size() - 1);
  }

 private:
  void cross(Taken& taken, NetworkLaw::Place to, std::size_t ideal) {
    auto [known, is_new] = transfers_.try_emplace({taken.place, to});
    if (is_new) known->second = law_->transfer(taken.place, to);
    for (std::size_t r = 0; r < taken.network_ns.size(); ++r)
      taken.network_ns[r] += known->second.busy_ns(r, bytes_[ideal]);
    taken.latency_ns += known->second.latency_ns(bytes_[ideal]);
    taken.place = std::move(to);
  }

  std::optional<NetworkLaw> law_;
  std::vector<std::uint64_t> bytes_;  // per ideal
  std::map<std::pair<NetworkLaw::Place, NetworkLaw::Place>, NetworkLaw::Transfer> transfers_;
};

}  // namespace segue
