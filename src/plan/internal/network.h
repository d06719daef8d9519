// What boundaries between stages cost on the network of a topology: the law in
// include/segue/topology.h, asked by predictions, timelines and searches.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "plan/internal/pipeline_pace.h"
#include "segue/device.h"
#include "segue/graph.h"
#include "segue/plan.h"
#include "segue/topology.h"

namespace segue {

// The bytes that cross the border of a set of operators which contains all its predecessors.
class BoundaryBytes {
 public:
  explicit BoundaryBytes(const Graph& graph);

  template <typename IsInside>
  [[nodiscard]] std::uint64_t operator()(IsInside is_inside) const {
    std::uint64_t bytes = 0;
    for (const Crossing& tensor : tensors_) {
      if (tensor.writer != kNone && !is_inside(tensor.writer)) continue;
      bool is_needed = tensor.is_output;
      for (std::size_t r = 0; !is_needed && r < tensor.readers.size(); ++r)
        is_needed = !is_inside(tensor.readers[r]);
      if (is_needed) bytes += tensor.bytes;
    }
    return bytes;
  }

 private:
  static constexpr auto kNone = static_cast<std::size_t>(-1);
  struct Crossing {
    std::uint64_t bytes = 0;
    std::size_t writer = kNone;  // kNone: a model input
    std::vector<std::size_t> readers;
    bool is_output = false;
  };
  std::vector<Crossing> tensors_;
};

// The bytes of all boundaries of a segmentation: stages + 1.
[[nodiscard]] std::vector<std::uint64_t> boundary_bytes(const Graph& graph,
                                                        const Segmentation& segmentation);

class NetworkLaw {
 public:
  NetworkLaw(const Topology& topology, std::span<const DevicePool> pools);

  // The share of the inputs that each node serves.
  using Place = std::vector<double>;
  // `shares` has one entry per pool.
  [[nodiscard]] Place place_of(std::span<const StageShare> shares) const;
  [[nodiscard]] Place entry() const;

  // One byte per input from the devices of a stage to those of the next one.
  struct Transfer {
    std::vector<double> flows;  // bytes per link and direction: a to b, b to a, …
    std::vector<double> ends;   // bytes that each node sends and receives
    struct Way {
      double fixed_ns = 0;
      double ns_per_byte = 0;
    };
    std::vector<Way> ways;            // from replicas to replicas
    std::vector<double> ns_per_byte;  // of each resource
    double hops = 0;                  // links that a byte passes, on average
    [[nodiscard]] std::int64_t busy_ns(std::size_t resource, std::uint64_t bytes) const;
    [[nodiscard]] std::int64_t latency_ns(std::uint64_t bytes) const;
  };
  [[nodiscard]] Transfer transfer(const Place& from, const Place& to) const;

  // Channels and processors, each of which an input keeps busy for some time.
  [[nodiscard]] std::size_t resources() const { return channels_ + topology_.nodes.size(); }
  [[nodiscard]] std::size_t channel_of(std::size_t link, bool is_forward) const {
    return channel_[2 * link + (is_forward ? 0 : 1)];
  }
  [[nodiscard]] std::size_t processor_of(std::size_t node) const { return channels_ + node; }

 private:
  void add_way(Transfer& transfer, std::size_t from, std::size_t to, double part) const;

  Topology topology_;
  std::vector<std::size_t> node_of_pool_;
  std::vector<std::size_t> channel_;  // per link and direction
  std::size_t channels_ = 0;
  std::vector<double> processor_ns_per_byte_;     // per node, of one core
  std::vector<std::vector<TopologyHop>> routes_;  // from node to node
};

// The transfers of all boundaries of a plan with a network.
[[nodiscard]] std::vector<NetworkLaw::Transfer> transfers_of(const NetworkLaw& law,
                                                             std::span<const Stage> stages,
                                                             std::size_t pools);

// What one input takes on its way through all boundaries.
struct NetworkUse {
  std::vector<std::int64_t> busy_ns;  // per resource
  std::int64_t latency_ns = 0;
};
// Throws Error(kInvalidArgument) when the boundaries or devices are not those of the stages.
[[nodiscard]] NetworkUse network_use(const NetworkLaw& law, const PlanNetwork& network,
                                     std::span<const Stage> stages, std::size_t pools);

// The network of a plan in its prediction; without one it takes nothing.
class NetworkPart {
 public:
  NetworkPart(std::span<const Stage> stages, std::span<const DevicePool> pools,
              const std::optional<PlanNetwork>& network);

  // The busiest resource. Operators on the host take the processor of their node.
  [[nodiscard]] std::int64_t period_ns(std::span<const StageUses> stages) const;
  [[nodiscard]] std::int64_t latency_ns() const { return use_.latency_ns; }
  [[nodiscard]] bool exists() const { return !nodes_.empty(); }

 private:
  struct Processor {
    std::size_t resource = 0;
    std::int64_t cores = 0;
  };
  std::vector<std::size_t> nodes_;  // of pools
  std::vector<Processor> processors_;
  NetworkUse use_;
};

}  // namespace segue
