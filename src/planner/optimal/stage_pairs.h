// Pairs of ideals that may be a stage, with the costs between them, computed on first use.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "planner/optimal/ideal_costs.h"
#include "planner/optimal/ideals.h"
#include "planner/optimal/lattice_stages.h"
#include "planner/optimal/pace.h"
#include "planner/optimal/work_bounds.h"

namespace segue {

class StagePairs {
 public:
  explicit StagePairs(std::span<const IdealCosts> costs) : kinds_(costs) {}

  // Returns the pairs that lower bounds do not exclude from pipelines within the limits.
  [[nodiscard]] static StagePairs affordable(const IdealLattice& lattice,
                                             std::span<const IdealCosts> costs,
                                             const WorkBounds& bounds, std::uint32_t devices,
                                             const PaceLimits& limits);

  // Returns all pairs that are a stage of some pipeline with this period on equal devices, and
  // possibly others. `needed` has the devices for all operators after each ideal.
  [[nodiscard]] static StagePairs within(const LatticeStages& stages, std::int64_t period_ns,
                                         std::span<const std::uint32_t> needed,
                                         std::uint32_t devices, std::uint32_t max_replicas);

  // Adds a pair that begins at the current ideal, which is the empty one at first; `to` ascends.
  // `least_ns` is a lower bound of the stage's time on any kind of device, not negative.
  void add(std::size_t to, std::int64_t least_ns) {
    to_.push_back(static_cast<std::uint32_t>(to));
    least_ns_.push_back(least_ns);
    slots_.push_back(kUnknown);
  }
  // The same for one kind of device with a known cost.
  void add(std::size_t to, const IdealCosts::Cost& cost) {
    add(to, cost.time_ns);
    slots_.back() = static_cast<std::uint32_t>(costs_.size());
    costs_.push_back(cost);
  }
  void go_on_to_next_ideal() { starts_.push_back(to_.size()); }

  // Returns the ends of pairs that begin at `from`, in ascending order.
  [[nodiscard]] std::span<const std::uint32_t> above(std::size_t from) const {
    return std::span(to_).subspan(starts_[from], starts_[from + 1] - starts_[from]);
  }
  [[nodiscard]] std::int64_t least_ns(std::size_t from, std::size_t position) const {
    return least_ns_[starts_[from] + position];
  }
  // Returns the costs, per kind of device, of the entry `position` of above(from).
  [[nodiscard]] std::span<const IdealCosts::Cost> costs(std::size_t from, std::size_t position) {
    std::uint32_t& slot = slots_[starts_[from] + position];
    if (slot == kUnknown) slot = compute(from, to_[starts_[from] + position]);
    return {costs_.data() + std::size_t{slot} * kinds_.size(), kinds_.size()};
  }

 private:
  static constexpr std::uint32_t kUnknown = 0xFFFFFFFF;

  [[nodiscard]] std::uint32_t compute(std::size_t from, std::size_t to);

  std::span<const IdealCosts> kinds_;
  std::vector<std::size_t> starts_{0};
  std::vector<std::uint32_t> to_;
  std::vector<std::int64_t> least_ns_;
  std::vector<std::uint32_t> slots_;     // per pair: position in costs_
  std::vector<IdealCosts::Cost> costs_;  // per slot and kind of device
};

}  // namespace segue
