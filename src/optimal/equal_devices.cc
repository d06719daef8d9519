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
  const std::size_t full = ideals_ - 1;
  best_.assign(ideals_ * (devices_ + 1), {.bottleneck_ns = limit_ns + 1});
  beyond_.assign(ideals_, devices_ + 1);
  for (std::uint32_t n = 0; n <= devices_; ++n) at(n, full).bottleneck_ns = 0;
  beyond_[full] = 0;
  find_least_before(limit_ns);
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

// What the operators of an ideal need at least, whatever stages they are in, by the bounds alone.
void EqualDevices::find_least_before(std::int64_t limit_ns) {
  before_.assign(ideals_, devices_ + 1);
  before_[0] = 0;
  for (std::size_t from = 0; from + 1 < ideals_; ++from) {
    const auto above = pairs_.above(from);
    for (std::size_t position = 0; position < above.size(); ++position) {
      const std::uint32_t to = above[position];
      if (before_[from] + 1 >= before_[to]) continue;
      const std::uint32_t most = std::min(max_replicas_, before_[to] - before_[from] - 1);
      const std::uint32_t replicas = replicas_for(pairs_.least_ns(from, position), limit_ns);
      if (replicas <= most) before_[to] = before_[from] + replicas;
    }
  }
}

// Whether a stage that takes this long would be better than what is known beyond `from`.
bool EqualDevices::improves(std::size_t from, std::size_t to, std::int64_t time_ns,
                            std::uint32_t most, std::uint32_t left) const {
  for (std::uint32_t r = 1; r <= most; ++r) {
    const std::int64_t stage = time_ns / r;
    for (std::uint32_t n = r + beyond_[to]; n <= left; ++n) {
      if (std::max(stage, at(n - r, to).bottleneck_ns) < at(n, from).bottleneck_ns) return true;
    }
  }
  return false;
}

void EqualDevices::extend(std::size_t from, std::int64_t limit_ns) {
  if (before_[from] >= devices_) return;
  const std::uint32_t left = devices_ - before_[from];
  const auto above = pairs_.above(from);
  for (std::size_t position = 0; position < above.size(); ++position) {
    const std::uint32_t to = above[position];
    if (beyond_[to] >= left) continue;
    const std::uint32_t most = std::min(max_replicas_, left - beyond_[to]);
    if (!improves(from, to, pairs_.least_ns(from, position), most, left)) continue;
    const std::int64_t time = pairs_.costs(from, position)[0].time_ns;
    for (std::uint32_t r = 1; r <= most; ++r) {
      const std::int64_t stage = time / r;
      for (std::uint32_t n = r + beyond_[to]; n <= left; ++n) {
        const std::int64_t bottleneck = std::max(stage, at(n - r, to).bottleneck_ns);
        if (bottleneck < at(n, from).bottleneck_ns) at(n, from) = {bottleneck, to, r};
      }
    }
  }
  beyond_[from] = devices_beyond(from, limit_ns);
}

void EqualDevices::keep_stages_within(std::int64_t bottleneck_ns, bool with_fewest_stages) {
  // Pure pipelines have a stage per device.
  const std::uint32_t devices =
      with_fewest_stages && max_replicas_ == 1 ? devices_beyond(0, bottleneck_ns) : devices_;
  for (std::size_t i = 0; i < ideals_; ++i) beyond_[i] = devices_beyond(i, bottleneck_ns);
  before_.assign(ideals_, devices_ + 1);
  before_[0] = 0;
  // Pairs come in ascending order of `from`, so that before_[from] is final.
  pairs_.keep([&](std::size_t from, std::size_t position) {
    const std::uint32_t to = pairs_.above(from)[position];
    if (before_[from] + beyond_[to] >= devices) return false;
    const std::uint32_t most = std::min(max_replicas_, devices - before_[from] - beyond_[to]);
    if (pairs_.least_ns(from, position) / most > bottleneck_ns) return false;
    const std::uint32_t replicas =
        replicas_for(pairs_.costs(from, position)[0].time_ns, bottleneck_ns);
    if (replicas > most) return false;
    before_[to] = std::min(before_[to], before_[from] + replicas);
    return true;
  });
}

}  // namespace segue
