// The stages between the ideals of a lattice, with lower bounds and exact times. Searches for
// several numbers of devices share them.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "planner/optimal/ideal_costs.h"
#include "planner/optimal/ideals.h"
#include "planner/optimal/work_bounds.h"

namespace segue {

// Thread-safe. The costs, all of one graph, must outlive it.
class LatticeStages {
 public:
  static constexpr bool kIsOrdered = false;  // whether cuts are ordered by the work before them

  // Prepares searches for at most `most_devices` devices of all kinds together.
  LatticeStages(std::span<const SegmentCosts> kinds, IdealLattice lattice,
                std::uint32_t most_devices);
  LatticeStages(const LatticeStages&) = delete;
  LatticeStages& operator=(const LatticeStages&) = delete;

  [[nodiscard]] const IdealLattice& lattice() const { return lattice_; }
  [[nodiscard]] std::span<const IdealCosts> costs() const { return costs_; }
  [[nodiscard]] const WorkBounds& bounds() const { return bounds_; }
  [[nodiscard]] std::size_t size() const { return lattice_.size(); }

  // The functions below are for one kind of device.

  // Whether there is a stage between two ideals whose lower bounds are at most `longest_ns`.
  [[nodiscard]] bool may_take(std::size_t from, std::size_t to, std::int64_t longest_ns) const {
    if (bounds_.least_sum_ns(from, to, 1) > longest_ns) return false;
    const std::int64_t known = times_.empty() ? kUnknown : times_[slot(from, to)].load(kRelaxed);
    if (known != kUnknown) return known != kNoStage && known - 1 <= longest_ns;
    if (lattice_.is_subset(from, to)) return bounds_.least_ns(from, to) <= longest_ns;
    if (!times_.empty()) times_[slot(from, to)].store(kNoStage, kRelaxed);
    return false;
  }
  // Returns a position after which no ideal ends a stage of at most `longest_ns`.
  [[nodiscard]] std::size_t last_within(std::size_t, std::int64_t) const { return size() - 1; }

  // Returns the time of a stage, computed on first use. `from` is a proper subset of `to`.
  [[nodiscard]] std::int64_t time_ns(std::size_t from, std::size_t to) const;

  // A lower bound for a stage from an ideal to a cut in the gap, without the work in the gap.
  [[nodiscard]] std::int64_t least_beginning_ns(std::size_t from, const IdealGap& gap) const;
  // A lower bound for a stage from a cut in the gap to an ideal, without the work in the gap.
  [[nodiscard]] std::int64_t least_ending_ns(const IdealGap& gap, std::size_t to) const;
  // A lower bound for a stage from a cut in a gap to one in the same or a later gap, without the
  // work in both.
  [[nodiscard]] std::int64_t least_between_ns(const IdealGap& gap, const IdealGap& later) const;

 private:
  static constexpr std::int64_t kUnknown = 0;
  static constexpr std::int64_t kNoStage = -1;
  static constexpr auto kRelaxed = std::memory_order_relaxed;

  // If the device runs all operators of a gap, a stage with a part of the gap has this fixed time.
  [[nodiscard]] std::int64_t fixed_ns_within(const IdealGap& gap) const;
  // Pairs with the same `from` are adjacent.
  [[nodiscard]] std::size_t slot(std::size_t from, std::size_t to) const {
    return from * (2 * size() - from - 1) / 2 + (to - from - 1);
  }

  IdealLattice lattice_;
  std::vector<IdealCosts> costs_;  // per kind
  WorkBounds bounds_;
  // 0: not computed; otherwise the time of a stage plus 1. All threads compute the same value.
  mutable std::vector<std::atomic<std::int64_t>> times_;
};

}  // namespace segue
