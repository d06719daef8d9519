#include "optimal/stage_pairs.h"

#include <algorithm>

namespace segue {

StagePairs::StagePairs(const IdealLattice& lattice, std::span<const IdealCosts> costs,
                       const WorkBounds& bounds, const LongestNs& longest_ns)
    : kinds_(costs), starts_(lattice.size() + 1) {
  // What is never written to takes no memory; growing would copy most of it.
  const std::size_t most_pairs = lattice.size() * (lattice.size() - 1) / 2;
  to_.reserve(most_pairs);
  least_ns_.reserve(most_pairs);
  for (std::size_t from = 0; from < lattice.size(); ++from) {
    starts_[from] = to_.size();
    for (std::size_t to = from + 1; to < lattice.size(); ++to) {
      if (lattice.operators_in(to) == lattice.operators_in(from)) continue;
      const std::int64_t longest = longest_ns(from, to);
      if (bounds.least_sum_ns(from, to, 1) > longest || !lattice.is_subset(from, to)) continue;
      const std::int64_t least = std::max<std::int64_t>(bounds.least_ns(from, to), 0);
      if (least > longest) continue;
      to_.push_back(static_cast<std::uint32_t>(to));
      least_ns_.push_back(least);
    }
  }
  starts_.back() = to_.size();
  slots_.assign(to_.size(), kUnknown);
  costs_.reserve(to_.size() / 4 * kinds_.size());
}

StagePairs StagePairs::affordable(const IdealLattice& lattice, std::span<const IdealCosts> costs,
                                  const WorkBounds& bounds, std::uint32_t devices,
                                  const PaceLimits& limits) {
  struct Least {
    std::uint32_t devices = 0;
    std::int64_t latency_ns = 0;
  };
  const std::size_t full = lattice.size() - 1;
  std::vector<Least> below(lattice.size());
  std::vector<Least> above(lattice.size());
  for (std::size_t i = 1; i < full; ++i) {
    below[i] = {bounds.least_devices(0, i, limits.period_ns), bounds.least_sum_ns(0, i, devices)};
    above[i] = {bounds.least_devices(i, full, limits.period_ns),
                bounds.least_sum_ns(i, full, devices)};
  }
  std::vector<std::int64_t> longest_on{-1};  // that many devices
  for (std::uint32_t count = 1; count <= devices; ++count)
    longest_on.push_back(longest_stage_ns(limits.period_ns, count));
  return {lattice, costs, bounds, [&](std::size_t from, std::size_t to) {
            const std::uint32_t others = below[from].devices + above[to].devices;
            return std::min(longest_on[others < devices ? devices - others : 0],
                            limits.latency_ns - below[from].latency_ns - above[to].latency_ns);
          }};
}

void StagePairs::keep(const IsNeeded& is_needed) {
  std::vector<std::size_t> starts;
  std::vector<std::uint32_t> to;
  std::vector<std::int64_t> least_ns;
  std::vector<std::uint32_t> slots;
  for (std::size_t from = 0; from + 1 < starts_.size(); ++from) {
    starts.push_back(to.size());
    for (std::size_t position = 0; position < above(from).size(); ++position) {
      if (!is_needed(from, position)) continue;
      to.push_back(above(from)[position]);
      least_ns.push_back(least_ns_[starts_[from] + position]);
      slots.push_back(slots_[starts_[from] + position]);
    }
  }
  starts.push_back(to.size());
  starts_ = std::move(starts);
  to_ = std::move(to);
  least_ns_ = std::move(least_ns);
  slots_ = std::move(slots);
}

std::uint32_t StagePairs::compute(std::size_t from, std::size_t to) {
  for (const IdealCosts& kind : kinds_) costs_.push_back(kind(from, to));
  return static_cast<std::uint32_t>(costs_.size() / kinds_.size() - 1);
}

}  // namespace segue
