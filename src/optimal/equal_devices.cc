#include "optimal/equal_devices.h"

#include <algorithm>

#include "optimal/pace.h"

namespace segue {

std::uint32_t EqualDevices::devices_beyond(std::size_t ideal, std::int64_t limit_ns) const {
  std::uint32_t count = 0;
  while (count <= devices_ && at(count, ideal).bottleneck_ns > limit_ns) ++count;
  return count;
}

std::vector<EqualDevices::Stage> EqualDevices::solve(std::int64_t limit_ns) {
  const std::size_t full = lattice_.size() - 1;
  best_.assign(lattice_.size() * (devices_ + 1), {.bottleneck_ns = limit_ns + 1});
  beyond_.assign(lattice_.size(), devices_ + 1);
  for (std::uint32_t n = 0; n <= devices_; ++n) at(n, full).bottleneck_ns = 0;
  beyond_[full] = 0;
  for (std::size_t from = full; from-- > 0;) extend(from, limit_ns);
  std::vector<Stage> stages;
  if (bottleneck_ns() > limit_ns) return stages;
  std::uint32_t left = devices_;
  for (std::size_t ideal = 0; ideal != full; ideal = stages.back().to) {
    const Best& best = at(left, ideal);
    stages.push_back({static_cast<std::uint32_t>(ideal), best.to, best.replicas});
    left -= best.replicas;
  }
  return stages;
}

// Whether a stage that takes this long would be better than what is known beyond `from`.
bool EqualDevices::improves(std::size_t from, std::size_t to, std::int64_t time_ns,
                            std::uint32_t left) const {
  const std::uint32_t most = std::min(max_replicas_, left - beyond_[to]);
  for (std::uint32_t r = 1; r <= most; ++r) {
    const std::int64_t stage = time_ns / r;
    for (std::uint32_t n = r + beyond_[to]; n <= left; ++n) {
      if (std::max(stage, at(n - r, to).bottleneck_ns) < at(n, from).bottleneck_ns) return true;
    }
  }
  return false;
}

// The costs of a pair are what takes time; most pairs fall to a bound before.
void EqualDevices::extend(std::size_t from, std::int64_t limit_ns) {
  const std::uint32_t before = from == 0 ? 0 : bounds_.least_devices(0, from, limit_ns);
  if (before >= devices_) return;
  const std::uint32_t left = devices_ - before;
  for (std::size_t to = from + 1; to < lattice_.size(); ++to) {
    if (beyond_[to] >= left || !improves(from, to, bounds_.least_sum_ns(from, to, 1), left) ||
        !lattice_.is_subset(from, to) || !improves(from, to, bounds_.least_ns(from, to), left))
      continue;
    const std::int64_t time = costs_(from, to).time_ns;
    const std::uint32_t most = std::min(max_replicas_, left - beyond_[to]);
    for (std::uint32_t r = 1; r <= most; ++r) {
      const std::int64_t stage = time / r;
      for (std::uint32_t n = r + beyond_[to]; n <= left; ++n) {
        const std::int64_t bottleneck = std::max(stage, at(n - r, to).bottleneck_ns);
        if (bottleneck < at(n, from).bottleneck_ns)
          at(n, from) = {bottleneck, static_cast<std::uint32_t>(to), r};
      }
    }
  }
  beyond_[from] = devices_beyond(from, limit_ns);
}

StagePairs EqualDevices::stages_within(std::int64_t bottleneck_ns, bool with_fewest_stages) {
  for (std::size_t i = 0; i < lattice_.size(); ++i) beyond_[i] = devices_beyond(i, bottleneck_ns);
  // Pure pipelines have a stage per device.
  const std::uint32_t devices = with_fewest_stages && max_replicas_ == 1 ? beyond_[0] : devices_;
  StagePairs pairs(std::span(&costs_, 1));
  std::vector<std::uint32_t> before(lattice_.size(), devices_ + 1);  // devices of what is below
  before[0] = 0;
  for (std::size_t from = 0; from + 1 < lattice_.size(); ++from) {
    for (std::size_t to = from + 1; to < lattice_.size(); ++to) {
      if (before[from] + beyond_[to] >= devices) continue;
      const std::uint32_t most = std::min(max_replicas_, devices - before[from] - beyond_[to]);
      const std::int64_t longest = longest_stage_ns(bottleneck_ns, most);
      if (bounds_.least_sum_ns(from, to, 1) > longest || !lattice_.is_subset(from, to) ||
          bounds_.least_ns(from, to) > longest)
        continue;
      const IdealCosts::Cost cost = costs_(from, to);
      if (cost.time_ns > longest) continue;
      pairs.add(to, cost);
      before[to] = std::min(before[to], before[from] + replicas_for(cost.time_ns, bottleneck_ns));
    }
    pairs.go_on_to_next_ideal();
  }
  return pairs;
}

}  // namespace segue
