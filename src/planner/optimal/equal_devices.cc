#include "planner/optimal/equal_devices.h"

#include <algorithm>
#include <functional>

#include "planner/optimal/lattice_stages.h"
#include "planner/optimal/range_stages.h"
#include "segue/stop.h"

namespace segue {

template <typename Stages>
bool EqualDevices<Stages>::is_feasible(std::int64_t period_ns) {
  period_ns_ = period_ns;
  const std::size_t full = stages_.size() - 1;
  needed_.assign(stages_.size(), devices_ + 1);
  next_.resize(stages_.size());
  after_.assign(devices_ + 1, {});
  levels_.assign(devices_ + 1, {{}, kNever});
  needed_[full] = 0;
  after_[0].push_back(static_cast<std::uint32_t>(full));
  std::size_t gaps_left = gaps_.size();
  for (std::size_t i = cuts_.size() - 1; i-- > 0;) {
    check_stopped();
    const std::size_t cut = cuts_[i];
    if (gaps_left > 0 && gaps_[gaps_left - 1].below == cut) fill(gaps_[--gaps_left]);
    const std::uint32_t before = cut == 0 ? 0 : stages_.bounds().least_devices(0, cut, period_ns_);
    if (before < devices_) extend(cut, devices_ - before);
  }
  return needed_[0] <= devices_;
}

// Extends pipelines from a cut. Stage times are expensive, so bounds exclude most stages before.
template <typename Stages>
void EqualDevices<Stages>::extend(std::size_t from, std::uint32_t most) {
  const std::uint32_t least = stages_.bounds().least_devices(from, stages_.size() - 1, period_ns_);
  if (least > most) return;
  std::uint32_t best = most + 1;
  std::uint32_t beyond = least > max_replicas_ ? least - max_replicas_ : 0;
  for (; beyond + 1 < best && best > least; ++beyond) {
    std::int64_t longest = longest_stage_ns(period_ns_, std::min(max_replicas_, best - 1 - beyond));
    const auto& ends = after_[beyond];  // in descending order
    auto end =
        std::ranges::lower_bound(ends, stages_.last_within(from, longest), std::ranges::greater{});
    for (; end != ends.end() && beyond + 1 < best && best > least; ++end) {
      if (!stages_.may_take(from, *end, longest)) continue;
      const std::int64_t time = stages_.time_ns(from, *end);
      if (time > longest) continue;
      next_[from] = {*end, replicas_for(time, period_ns_)};
      best = beyond + next_[from].replicas;
      longest = longest_stage_ns(period_ns_, next_[from].replicas - 1);
    }
  }
  if (!gaps_.empty()) best = extend_into_gaps(from, best);
  if (best > most) return;
  needed_[from] = best;
  after_[best].push_back(static_cast<std::uint32_t>(from));
}

template <typename Stages>
std::int64_t EqualDevices<Stages>::beginning_ns(std::uint32_t from, const IdealGap& gap) {
  if (Stages::kIsOrdered) return stages_.least_beginning_ns(from, gap);
  const auto [entry, is_new] = beginnings_.try_emplace({from, gap.below}, 0);
  if (is_new) entry->second = stages_.least_beginning_ns(from, gap);
  return entry->second;
}

template <typename Stages>
std::int64_t EqualDevices<Stages>::ending_ns(const IdealGap& gap, std::uint32_t to) {
  if (Stages::kIsOrdered) return stages_.least_ending_ns(gap, to);
  const auto [entry, is_new] = endings_.try_emplace({to, gap.above}, 0);
  if (is_new) entry->second = stages_.least_ending_ns(gap, to);
  return entry->second;
}

template <typename Stages>
std::uint32_t EqualDevices<Stages>::extend_into_gaps(std::size_t from, std::uint32_t best) {
  for (std::uint32_t beyond = 1; beyond + 1 < best; ++beyond) {
    const auto& [gap, level] = levels_[beyond];
    if (level == kNever) continue;
    const std::int64_t least = beginning_ns(static_cast<std::uint32_t>(from), gap) + level -
                               stages_.bounds().work_ns(gap.below);
    const std::uint32_t replicas = replicas_for(std::max<std::int64_t>(least, 0), period_ns_);
    if (replicas <= max_replicas_) best = std::min(best, beyond + replicas);
  }
  return best;
}

// Returns the smallest time of a stage that begins in the gap, in addition to the work of the gap,
// after which `beyond` devices suffice.
template <typename Stages>
std::int64_t EqualDevices<Stages>::least_ns_from(const IdealGap& gap, std::uint32_t beyond) {
  const WorkBounds& bounds = stages_.bounds();
  std::int64_t least = kNever;
  if (const auto& [later, level] = levels_[beyond]; level < kNever)
    least = stages_.least_between_ns(gap, later) + level - bounds.work_ns(later.below);
  const auto& ends = after_[beyond];
  for (auto end = ends.rbegin(); end != ends.rend(); ++end) {
    if (Stages::kIsOrdered && bounds.work_ns(*end) - bounds.work_ns(gap.above) >= least) break;
    least = std::min(least, ending_ns(gap, *end));
  }
  return least;
}

template <typename Stages>
void EqualDevices<Stages>::fill(const IdealGap& gap) {
  const WorkBounds& bounds = stages_.bounds();
  const std::int64_t first = bounds.work_ns(gap.below);
  const std::int64_t last = bounds.work_ns(gap.above);
  std::vector<std::int64_t> levels(devices_ + 1, kNever);
  for (std::uint32_t beyond = 0; beyond < devices_; ++beyond) {
    std::int64_t end_ns = least_ns_from(gap, beyond);
    if (end_ns < kNever) end_ns += last;
    // A stage between two cuts in the gap.
    if (levels[beyond] < kNever)
      end_ns = std::min(end_ns, stages_.least_between_ns(gap, gap) + levels[beyond]);
    if (end_ns == kNever) continue;
    for (std::uint32_t r = 1; r <= std::min(max_replicas_, devices_ - beyond); ++r) {
      const std::int64_t level = std::max(end_ns - longest_stage_ns(period_ns_, r), first);
      if (level <= last) levels[beyond + r] = std::min(levels[beyond + r], level);
    }
  }
  for (std::uint32_t count = 1; count <= devices_; ++count) {
    if (levels[count] < kNever) levels_[count] = {gap, levels[count]};
  }
}

template <typename Stages>
std::int64_t EqualDevices<Stages>::reached_ns() const {
  std::int64_t slowest = 0;
  for (const Stage& stage : pipeline())
    slowest = std::max(slowest, stages_.time_ns(stage.from, stage.to) / stage.replicas);
  return slowest;
}

template <typename Stages>
std::vector<typename EqualDevices<Stages>::Stage> EqualDevices<Stages>::pipeline() const {
  std::vector<Stage> stages;
  for (std::uint32_t cut = 0; cut + 1 < stages_.size(); cut = stages.back().to)
    stages.push_back({cut, next_[cut].to, next_[cut].replicas});
  return stages;
}

template <typename Stages>
std::optional<std::int64_t> EqualDevices<Stages>::solve(std::int64_t least_ns,
                                                        std::int64_t limit_ns) {
  // The optimum is often only slightly above the lower bound, so small steps come first.
  constexpr std::int64_t kFirstStep = 256;
  std::int64_t low = std::max<std::int64_t>(least_ns, 0);
  std::int64_t step = low / kFirstStep + 1;
  if (low > limit_ns) return std::nullopt;
  std::int64_t period = low;
  while (!is_feasible(period)) {
    if (period == limit_ns) return std::nullopt;
    low = period + 1;
    period = std::min(limit_ns, low + step);
    step *= 2;
  }
  const auto found = [&] { return gaps_.empty() ? reached_ns() : period_ns_; };
  // Stages may be faster than the requested period.
  std::int64_t high = std::max(found(), low);
  while (low < high) {
    if (is_feasible(low + (high - low) / 2)) {
      high = std::max(found(), low);
    } else {
      low = period_ns_ + 1;
    }
  }
  if (period_ns_ != high) (void)is_feasible(high);
  return high;
}

template class EqualDevices<LatticeStages>;
template class EqualDevices<RangeStages>;

}  // namespace segue
