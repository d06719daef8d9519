// The exact search for pipelines on the nodes of a network, over the ideals of a lattice.
//
// As in planner/optimal/search.h, a label is one way to run all operators after an ideal. It has
// the devices used of each pool, the busy time of each counted resource, the latency and, unlike
// there, the place of its first stage: the share of inputs on each node. The boundary before that
// stage costs the same for all labels of a place, so only these are compared.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "plan/internal/network.h"
#include "planner/optimal/lattice_stages.h"
#include "planner/optimal/pace.h"
#include "planner/optimal/search.h"
#include "planner/optimal/stage_pairs.h"
#include "planner/topology/equal_nodes.h"
#include "segue/device.h"
#include "segue/topology.h"

namespace segue {

// The devices of a topology, with the kinds that its pools have.
struct PlacedPools {
  std::vector<DevicePool> pools;
  std::vector<std::size_t> kind;  // of each pool
  std::vector<std::size_t> node;  // of each pool
};

class NetworkSearch {
 public:
  // `stages` are of the kinds of `placed`, in their order; all must outlive the search.
  NetworkSearch(const LatticeStages& stages, const PlacedPools& placed, const Topology& topology,
                std::uint32_t max_replicas, std::uint64_t most_work);

  // The pipeline within the limits that carries the fewest bytes over links, then has the fewest
  // devices, then the fewest stages. Throws TooMuchWork.
  [[nodiscard]] std::optional<PlannedStages> within(const PaceLimits& limits);
  // The pipeline of the smallest latency, if that is at most the limit.
  [[nodiscard]] std::optional<PlannedStages> shortest(std::int64_t limit_ns);
  // The smallest period from `low_ns` to `high_ns` that some pipeline has, and one that carries the
  // fewest bytes. A search of too much work returns what it has.
  struct Fastest {
    std::int64_t proven_ns = 0;  // no pipeline has a smaller period
    std::optional<PlannedStages> pipeline;
  };
  [[nodiscard]] Fastest fastest(std::int64_t low_ns, std::int64_t high_ns,
                                std::int64_t latency_limit_ns);

  [[nodiscard]] PaceLimits pace(const PlannedStages& pipeline) const;

 private:
  static constexpr std::size_t kMostCounted = 24;
  using Place = std::uint32_t;
  static constexpr Place kVaries = 0xFFFFFFFF;

  // Fewer bytes on links, then fewer devices, then fewer stages.
  struct Rest {
    std::uint64_t bytes = 0;
    std::uint32_t devices = 0;
    std::uint32_t stages = 0;
    friend auto operator<=>(const Rest&, const Rest&) = default;  // NOLINT(modernize-use-nullptr)
  };
  struct Label {
    Allotment used{};
    std::array<std::int64_t, kMostCounted> busy_ns{};
    std::int64_t latency_ns = 0;
    Rest rest;
    Place place = 0;
    PlannedStage stage;      // the first one
    std::uint32_t next = 0;  // the label of the rest, in labels_[stage.to]
  };
  using Shares = std::array<StageShare, kMostPools>;
  // A stage with what does not depend on the stages behind it.
  struct Candidate {
    PlannedStage stage;
    Shares shares{};
    Place place = 0;
    Label own;
  };

  void fill(const PaceLimits& limits);
  void extend(const PaceLimits& limits, std::size_t from, std::size_t position);
  void add_candidate(const PaceLimits& limits, const Candidate& candidate);
  void add(const PaceLimits& limits, const Label& label);
  [[nodiscard]] std::optional<Allotment> with_rest(const Allotment& devices,
                                                   const Allotment& used) const;
  void add_boundary(Label& label, Place before, Place behind, std::size_t ideal);
  [[nodiscard]] bool dominates(const Label& a, const Label& b) const;
  [[nodiscard]] bool is_minimal(const Allotment& devices, const Shares& shares,
                                std::int64_t limit_ns) const;
  [[nodiscard]] Shares shares_of(const Allotment& devices,
                                 std::span<const IdealCosts::Cost> costs) const;
  [[nodiscard]] std::span<const StageShare> in_use(const Shares& shares) const {
    return {shares.data(), placed_.pools.size()};
  }
  [[nodiscard]] Place place_of(std::size_t allotment, const Shares& shares);
  [[nodiscard]] Place intern(const NetworkLaw::Place& place);
  [[nodiscard]] const NetworkLaw::Transfer& transfer(Place from, Place to);
  [[nodiscard]] std::optional<PlannedStages> best(bool by_latency) const;
  // Per resource of the network, then per pool with a shared link.
  [[nodiscard]] std::vector<std::int64_t> busy_ns(const PlannedStages& pipeline) const;

  const LatticeStages& stages_;
  const PlacedPools& placed_;
  NetworkLaw law_;
  EqualNodes equal_nodes_;
  std::uint32_t devices_;
  std::uint32_t max_replicas_;
  std::uint64_t most_work_;
  std::int64_t hop_ns_;
  std::vector<std::uint64_t> bytes_;  // across the border of each ideal
  std::vector<Allotment> allotments_;
  std::vector<Place> place_of_allotment_;  // kVaries: depends on the stage
  std::map<NetworkLaw::Place, Place> place_ids_;
  std::vector<NetworkLaw::Place> places_;
  std::vector<std::vector<std::unique_ptr<NetworkLaw::Transfer>>> transfers_;  // from, to
  Place entry_ = 0;
  std::vector<std::size_t> counted_;  // resources that a pipeline would exceed
  bool by_latency_ = false;
  bool counts_latency_ = false;
  bool settles_ties_ = false;  // a stage may have more devices than it needs, to carry less
  std::uint64_t work_ = 0;
  std::optional<StagePairs> pairs_;
  PaceLimits pair_limits_;
  std::vector<std::vector<Label>> labels_;    // per ideal, by place
  std::vector<std::vector<Label>> building_;  // per place: labels of the current ideal
  std::vector<std::uint32_t> least_devices_;  // per ideal, over its labels
};

}  // namespace segue
