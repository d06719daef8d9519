// Lower bounds of the time of the operators between two ideals, on the best of several kinds of
// device, for any cuts.
//
// A stage takes its fixed time, the computation of its operators, and the streaming of parameters
// that its device cannot hold. A fractional knapsack over all operators of the model bounds the
// streaming that a device's memory can save, whatever the compiler's order. Transfers count if a
// single stage reads all inputs.
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
  static constexpr std::int64_t kRounding = 4;  // each part of a time is rounded separately

  // Prepares bounds for at most `devices` devices. `costs` has one entry per kind of device.
  WorkBounds(const IdealLattice& lattice, std::span<const IdealCosts> costs, std::size_t operators,
             std::uint32_t devices);

  // Prepares bounds for one kind of device and the cuts along an order of operators: 0 to
  // operators.size().
  WorkBounds(const SegmentCosts& costs, std::span<const OperatorId> order, std::uint32_t devices);

  // A lower bound of a stage between these ideals; `from` is a proper subset of `to`.
  [[nodiscard]] std::int64_t least_ns(std::size_t from, std::size_t to) const {
    const std::int64_t least = least_sum_ns(from, to, 1);
    return costs_[0].reads_all(from, to) ? least + input_ns_[from] + output_ns_[to] : least;
  }

  // A lower bound of the sum of at most `stages` stages between these ideals.
  [[nodiscard]] std::int64_t least_sum_ns(std::size_t from, std::size_t to,
                                          std::uint32_t stages) const {
    const std::int64_t spilled = spill_ns_[to] - spill_ns_[from] - kept_ns_[stages];
    return fixed_ns_ + work_ns_[to] - work_ns_[from] + (spilled > 0 ? spilled : 0) -
           kRounding * stages;
  }

  // A lower bound of the time between two results on `devices` devices.
  [[nodiscard]] std::int64_t least_period_ns(std::uint32_t devices) const {
    return std::max<std::int64_t>(least_sum_ns(0, work_ns_.size() - 1, devices), 0) / devices;
  }
  // The part of it that a single stage streams because parameters do not fit.
  [[nodiscard]] std::int64_t least_spill_ns(std::size_t from, std::size_t to) const {
    return std::max<std::int64_t>(spill_ns_[to] - spill_ns_[from] - kept_ns_[1], 0);
  }

  [[nodiscard]] std::int64_t work_ns(std::size_t ideal) const { return work_ns_[ideal]; }

  // A lower bound of the number of devices that give a result every `period_ns`; more than
  // `devices` if no number does.
  [[nodiscard]] std::uint32_t least_devices(std::size_t from, std::size_t to,
                                            std::int64_t period_ns) const;

 private:
  void keep(std::vector<OperatorBound> operators, std::uint64_t capacity);

  std::span<const IdealCosts> costs_;
  std::uint32_t devices_;
  std::int64_t fixed_ns_ = 0;
  std::vector<std::int64_t> input_ns_;   // per ideal, of a stage that begins there
  std::vector<std::int64_t> output_ns_;  // per ideal, of a stage that ends there
  std::vector<std::int64_t> work_ns_;    // per ideal
  std::vector<std::int64_t> spill_ns_;   // per ideal, if no parameters were cached
  std::vector<std::int64_t> kept_ns_;    // per number of devices: the largest saving by caching
};

}  // namespace segue
