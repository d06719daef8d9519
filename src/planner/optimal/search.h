// The best pipeline over a lattice of ideals.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "device/edgetpu/internal/stage_pace.h"
#include "planner/optimal/ideal_costs.h"
#include "planner/optimal/ideals.h"
#include "planner/optimal/lattice_stages.h"
#include "planner/optimal/pace.h"
#include "planner/optimal/stage_pairs.h"
#include "segue/device.h"

namespace segue {

inline constexpr std::size_t kMostPools = 8;

// The number of devices of each pool that run one stage.
using Allotment = std::array<std::uint16_t, kMostPools>;

[[nodiscard]] std::uint32_t device_count(const Allotment& devices);

// Returns every choice of 1 to `most` devices. Choices without devices of the last pools come
// first.
[[nodiscard]] std::vector<Allotment> all_allotments(std::span<const DevicePool> pools,
                                                    std::uint32_t most);

struct PlannedStage {
  std::size_t from = 0;  // ideals
  std::size_t to = 0;
  Allotment devices{};
};
using PlannedStages = std::vector<PlannedStage>;

// Thrown by searches that would take more than some seconds, as with many kinds of devices behind
// shared links.
struct TooMuchWork {};

class PipelineSearch {
 public:
  PipelineSearch(const LatticeStages& stages, std::span<const DevicePool> pools,
                 std::uint32_t max_replicas);

  // Returns nothing if no pipeline satisfies the limits. Limits close to the optimum save work.
  [[nodiscard]] std::optional<PlannedStages> fastest_pace(const PaceLimits& limits);
  [[nodiscard]] std::optional<PlannedStages> shortest_latency(const PaceLimits& limits);

  // A lower bound of the requested period or latency over these ideals. It is below the result if
  // the search gave up.
  [[nodiscard]] std::int64_t proven_ns() const { return proven_ns_; }

  [[nodiscard]] PaceLimits pace(const PlannedStages& pipeline) const;

  // Lower bounds over all ideals, also those that are not in the lattice.
  [[nodiscard]] std::int64_t least_period_ns() const;
  [[nodiscard]] std::int64_t least_latency_ns() const;

 private:
  static constexpr std::uint64_t kMostWork = 400'000'000;  // labels created and compared

  // Resources of a chain of stages. Each part is a sum along the chain and has a limit: the devices
  // of each pool and, if they matter, the time on each shared link and the latency.
  static constexpr std::size_t kMostParts = 2 * kMostPools + 1;
  using Parts = std::array<std::int64_t, kMostParts>;
  struct Layout {
    PaceLimits limits;
    Parts part_limits{};
    std::size_t parts = 0;
    std::size_t first_link = 0;
    std::size_t links = 0;
    std::size_t latency = 0;  // position; 0: not counted
    bool counts_rest = false;
  };

  // Tie-breakers: fewer devices, then fewer stages, then fewer host bytes.
  struct Rest {
    std::uint32_t devices = 0;
    std::uint32_t stages = 0;
    std::uint64_t host_bytes = 0;
    friend auto operator<=>(const Rest&, const Rest&) = default;  // NOLINT(modernize-use-nullptr)
  };

  // One way to run all operators after an ideal.
  struct Label {
    Parts parts{};
    Rest rest;
    PlannedStage stage;      // the first stage
    std::uint32_t next = 0;  // the label of the rest, in labels_[stage.to]
  };

  [[nodiscard]] Layout layout_for(const PaceLimits& limits, bool counts_latency,
                                  bool counts_rest) const;
  [[nodiscard]] Parts parts_of(const Layout& layout, const Allotment& devices,
                               std::span<const IdealCosts::Cost> costs) const;
  using Shares = std::array<StageShare, kMostPools>;
  [[nodiscard]] static Shares shares_of(const Allotment& devices,
                                        std::span<const IdealCosts::Cost> costs);
  [[nodiscard]] static bool is_minimal(const Allotment& devices,
                                       std::span<const IdealCosts::Cost> costs,
                                       std::int64_t limit_ns);
  template <typename Visit>
  void for_allotments(std::span<const IdealCosts::Cost> costs, std::int64_t limit_ns,
                      Visit visit) const;
  template <typename Visit>
  void for_stages(const Layout& layout, std::size_t from, Visit visit);

  [[nodiscard]] static Rest with_stage(const Rest& rest, const PlannedStage& stage,
                                       std::span<const IdealCosts::Cost> costs);
  void fill(const Layout& layout);
  void add(const Layout& layout, const Label& label);
  [[nodiscard]] static bool dominates(const Layout& layout, const Label& a, const Label& b);
  [[nodiscard]] std::int64_t least_period_within(const PaceLimits& limits, std::int64_t low,
                                                 std::int64_t high);
  [[nodiscard]] std::optional<PlannedStages> any_within(const PaceLimits& limits);
  [[nodiscard]] PlannedStages settle_ties(const PaceLimits& limits, bool counts_latency);
  [[nodiscard]] PlannedStage first_stage(const Layout& layout, std::size_t from, Rest& rest,
                                         Parts& left);
  [[nodiscard]] std::optional<PlannedStages> alone(const PaceLimits& limits, bool by_latency) const;

  const LatticeStages& stages_;
  std::span<const IdealCosts> costs_;
  const WorkBounds& bounds_;
  std::span<const DevicePool> pools_;
  std::uint32_t devices_ = 0;  // of all pools
  std::uint32_t max_replicas_;
  std::int64_t hop_ns_ = 0;
  bool has_shared_link_ = false;
  std::size_t full_;
  std::uint64_t work_ = 0;
  std::int64_t proven_ns_ = 0;
  std::vector<Allotment>
      allotments_;  // all choices if there are several pools, by number of devices
  StagePairs pairs_;
  std::vector<std::vector<Label>> labels_;    // per ideal, without dominated labels
  std::vector<std::uint32_t> least_devices_;  // per ideal, over its labels
  std::vector<std::int64_t> longest_ns_;      // per number of devices: the longest stage
};

}  // namespace segue
