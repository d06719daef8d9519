// Pairs of ideals that may be a stage, with the costs between them, computed when first asked for.
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

  // Those that the bounds leave a chance to be a stage of a pipeline within the limits.
  [[nodiscard]] static StagePairs affordable(const IdealLattice& lattice,
                                             std::span<const IdealCosts> costs,
                                             const WorkBounds& bounds, std::uint32_t devices,
                                             const PaceLimits& limits);

  // All that are a stage of a pipeline with this period on so many equal devices, and some that are
  // a stage of none. `needed`: devices for all that is beyond each ideal.
  [[nodiscard]] static StagePairs within(const LatticeStages& stages, std::int64_t period_ns,
                                         std::span<const std::uint32_t> needed,
                                         std::uint32_t devices, std::uint32_t max_replicas);

  // Adds a pair that begins at the current ideal, at first the empty one; `to` ascends.
  // `least_ns`: what the stage takes at least, on any kind of device; not negative.
  void add(std::size_t to, std::int64_t least_ns) {
    to_.push_back(static_cast<std::uint32_t>(to));
    least_ns_.push_back(least_ns);
    slots_.push_back(kUnknown);
  }
  // The same where there is one kind of device and the cost is known.
  void add(std::size_t to, const IdealCosts::Cost& cost) {
    add(to, cost.time_ns);
    slots_.back() = static_cast<std::uint32_t>(costs_.size());
    costs_.push_back(cost);
  }
  void go_on_to_next_ideal() { starts_.push_back(to_.size()); }

  // The ideals above `from`, in ascending order.
  [[nodiscard]] std::span<const std::uint32_t> above(std::size_t from) const {
    return std::span(to_).subspan(starts_[from], starts_[from + 1] - starts_[from]);
  }
  [[nodiscard]] std::int64_t least_ns(std::size_t from, std::size_t position) const {
    return least_ns_[starts_[from] + position];
  }
  // Per kind of device, of the `position`th entry of above(from).
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
  std::vector<std::uint32_t> slots_;     // per pair, in costs_
  std::vector<IdealCosts::Cost> costs_;  // per slot and kind of device
};

}  // namespace segue
