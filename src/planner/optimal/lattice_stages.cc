#include "planner/optimal/lattice_stages.h"

#include <algorithm>
#include <utility>

namespace segue {
namespace {

std::vector<IdealCosts> costs_per_kind(std::span<const SegmentCosts> kinds,
                                       const IdealLattice& lattice) {
  std::vector<IdealCosts> costs;
  costs.reserve(kinds.size());
  for (const SegmentCosts& kind : kinds) costs.emplace_back(kind, lattice);
  return costs;
}

}  // namespace

LatticeStages::LatticeStages(std::span<const SegmentCosts> kinds, IdealLattice lattice,
                             std::uint32_t most_devices)
    : lattice_(std::move(lattice)),
      costs_(costs_per_kind(kinds, lattice_)),
      bounds_(lattice_, costs_, kinds[0].operators().size(), most_devices),
      times_(kinds.size() == 1 ? size() * (size() - 1) / 2 : 0) {}

std::int64_t LatticeStages::time_ns(std::size_t from, std::size_t to) const {
  std::atomic<std::int64_t>& time = times_[slot(from, to)];
  if (const std::int64_t known = time.load(kRelaxed); known > 0) return known - 1;
  IdealCosts::Row row(costs_[0], from);
  // With operators on the host, a time is cheap only after the previous one, so the whole row is
  // computed.
  const std::size_t last = costs_[0].of_operators().has_host() ? size() - 1 : to;
  for (std::size_t other = costs_[0].of_operators().has_host() ? from + 1 : to; other <= last;
       ++other) {
    if (other == to || lattice_.is_subset(from, other))
      times_[slot(from, other)].store(row(other).time_ns + 1, kRelaxed);
  }
  return time.load(kRelaxed) - 1;
}

std::int64_t LatticeStages::fixed_ns_within(const IdealGap& gap) const {
  return costs_[0].may_run_on_host(gap.below, gap.above) ? 0 : costs_[0].of_operators().fixed_ns();
}

std::int64_t LatticeStages::least_beginning_ns(std::size_t from, const IdealGap& gap) const {
  const std::int64_t fixed = fixed_ns_within(gap);
  if (from == gap.below) return fixed - WorkBounds::kRounding;
  return std::max(fixed, costs_[0].least_beginning_ns(from, gap.below)) +
         bounds_.least_spill_ns(from, gap.below) - WorkBounds::kRounding;
}

std::int64_t LatticeStages::least_ending_ns(const IdealGap& gap, std::size_t to) const {
  const std::int64_t fixed = fixed_ns_within(gap);
  if (to == gap.above) return fixed - WorkBounds::kRounding;
  return fixed + costs_[0].least_ending_ns(gap.above, to) + bounds_.least_spill_ns(gap.above, to) -
         WorkBounds::kRounding;
}

std::int64_t LatticeStages::least_between_ns(const IdealGap& gap, const IdealGap& later) const {
  const std::int64_t fixed = std::max(fixed_ns_within(gap), fixed_ns_within(later));
  if (gap.below == later.below) return fixed - WorkBounds::kRounding;
  return fixed + bounds_.work_ns(later.below) - bounds_.work_ns(gap.above) +
         bounds_.least_spill_ns(gap.above, later.below) - WorkBounds::kRounding;
}

}  // namespace segue
