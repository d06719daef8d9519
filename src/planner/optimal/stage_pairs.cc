#include "planner/optimal/stage_pairs.h"

#include <algorithm>

#include "segue/stop.h"

namespace segue {

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
  std::vector<std::int64_t> longest_on{-1};  // per number of devices
  for (std::uint32_t count = 1; count <= devices; ++count)
    longest_on.push_back(longest_stage_ns(limits.period_ns, count));
  StagePairs pairs(costs);
  for (std::size_t from = 0; from < full; ++from) {
    check_stopped();
    for (std::size_t to = from + 1; to <= full; ++to) {
      const std::uint32_t others = below[from].devices + above[to].devices;
      const std::int64_t longest =
          std::min(longest_on[others < devices ? devices - others : 0],
                   limits.latency_ns - below[from].latency_ns - above[to].latency_ns);
      if (bounds.least_sum_ns(from, to, 1) > longest || !lattice.is_subset(from, to)) continue;
      const std::int64_t least = std::max<std::int64_t>(bounds.least_ns(from, to), 0);
      if (least <= longest) pairs.add(to, least);
    }
    pairs.go_on_to_next_ideal();
  }
  return pairs;
}

StagePairs StagePairs::within(const LatticeStages& stages, std::int64_t period_ns,
                              std::span<const std::uint32_t> needed, std::uint32_t devices,
                              std::uint32_t max_replicas) {
  StagePairs pairs(stages.costs());
  std::vector<std::uint32_t> before(stages.size(),
                                    devices + 1);  // devices of all stages before an ideal
  before[0] = 0;
  for (std::size_t from = 0; from + 1 < stages.size(); ++from) {
    check_stopped();
    IdealCosts::Row row(stages.costs()[0], from);
    for (std::size_t to = from + 1; to < stages.size() && before[from] < devices; ++to) {
      if (before[from] + needed[to] >= devices) continue;
      const std::uint32_t most = std::min(max_replicas, devices - before[from] - needed[to]);
      const std::int64_t longest = longest_stage_ns(period_ns, most);
      if (!stages.may_take(from, to, longest) || stages.time_ns(from, to) > longest) continue;
      const IdealCosts::Cost cost = row(to);
      pairs.add(to, cost);
      before[to] = std::min(before[to], before[from] + replicas_for(cost.time_ns, period_ns));
    }
    pairs.go_on_to_next_ideal();
  }
  return pairs;
}

std::uint32_t StagePairs::compute(std::size_t from, std::size_t to) {
  for (const IdealCosts& kind : kinds_) costs_.push_back(kind(from, to));
  return static_cast<std::uint32_t>(costs_.size() / kinds_.size() - 1);
}

}  // namespace segue
