// What the operators between two ideals take at least, on the best of several kinds of device,
// however they are cut.
//
// A stage takes its fixed time, the computation of its operators, and the streaming of what its
// device cannot hold. The parameters worth most to keep fit a device as in a fractional knapsack,
// over all operators of the model: the rest is streamed, whatever the compiler's order. Transfers
// count where a single stage reads all that comes in.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "planner/optimal/ideal_costs.h"
#include "planner/optimal/ideals.h"

namespace segue {

class WorkBounds {
 public:
  // For at most `devices` devices; one entry of `costs` per kind.
  WorkBounds(const IdealLattice& lattice, std::span<const IdealCosts> costs, std::size_t operators,
             std::uint32_t devices);

  // For one kind of device and the cuts along an order of operators: 0 .. operators.size().
  WorkBounds(const SegmentCosts& costs, std::span<const OperatorId> order, std::uint32_t devices);

  // No stage between these ideals takes less; `from` is a proper subset of `to`.
  [[nodiscard]] std::int64_t least_ns(std::size_t from, std::size_t to) const {
    const std::int64_t least = least_sum_ns(from, to, 1);
    return costs_[0].reads_all(from, to) ? least + input_ns_[from] + output_ns_[to] : least;
  }

  // No `stages` stages or fewer between these ideals take less together.
  [[nodiscard]] std::int64_t least_sum_ns(std::size_t from, std::size_t to,
                                          std::uint32_t stages) const {
    const std::int64_t spilled = spill_ns_[to] - spill_ns_[from] - kept_ns_[stages];
    return fixed_ns_ + work_ns_[to] - work_ns_[from] + (spilled > 0 ? spilled : 0) -
           kRounding * stages;
  }

  // No pipeline on so many devices gives a result more often.
  [[nodiscard]] std::int64_t least_period_ns(std::uint32_t devices) const {
    return std::max<std::int64_t>(least_sum_ns(0, work_ns_.size() - 1, devices), 0) / devices;
  }
  // Of that, what a single stage streams of parameters that do not fit.
  [[nodiscard]] std::int64_t least_spill_ns(std::size_t from, std::size_t to) const {
    return std::max<std::int64_t>(spill_ns_[to] - spill_ns_[from] - kept_ns_[1], 0);
  }

  [[nodiscard]] std::int64_t work_ns(std::size_t ideal) const { return work_ns_[ideal]; }

  // No fewer devices give a result every `period_ns`; more than `devices` where none do.
  [[nodiscard]] std::uint32_t least_devices(std::size_t from, std::size_t to,
                                            std::int64_t period_ns) const;

 private:
  static constexpr std::int64_t kRounding = 4;  // each part of a time is rounded on its own

  void keep(std::vector<OperatorBound> operators, std::uint64_t capacity);

  std::span<const IdealCosts> costs_;
  std::uint32_t devices_;
  std::int64_t fixed_ns_ = 0;
  std::vector<std::int64_t> input_ns_;   // per ideal, of a stage that begins there
  std::vector<std::int64_t> output_ns_;  // per ideal, of a stage that ends there
  std::vector<std::int64_t> work_ns_;    // per ideal
  std::vector<std::int64_t> spill_ns_;   // per ideal, if nothing were kept on chip
  std::vector<std::int64_t> kept_ns_;    // per number of devices: the most that keeping saves
};

}  // namespace segue
