#include "optimal/few_stages.h"

#include <algorithm>

#include "optimal/search.h"

namespace segue {

std::vector<EqualDevices<LatticeStages>::Stage> few_stages_within(const LatticeStages& stages,
                                                                  std::int64_t period_ns,
                                                                  std::uint32_t most_stages,
                                                                  std::uint32_t devices,
                                                                  std::uint32_t max_replicas) {
  using Stage = EqualDevices<LatticeStages>::Stage;
  const auto full = static_cast<std::uint32_t>(stages.size() - 1);
  // Per number of stages and ideal: the fewest devices of all beyond it, and the first of them.
  std::vector<std::vector<std::uint32_t>> needed(
      most_stages + 1, std::vector<std::uint32_t>(stages.size(), devices + 1));
  std::vector<std::vector<Stage>> first(most_stages + 1, std::vector<Stage>(stages.size()));
  for (auto& layer : needed) layer[full] = 0;
  std::vector<std::uint32_t> fewest(stages.size(), devices + 1);  // with fewer stages than all
  fewest[full] = 0;
  for (std::uint32_t from = full; from-- > 0;) {
    const std::uint32_t before = from == 0 ? 0 : stages.bounds().least_devices(0, from, period_ns);
    for (std::uint32_t to = full; to > from && before < devices; --to) {
      if (before + fewest[to] >= devices) continue;
      const std::int64_t least =
          std::max<std::int64_t>(stages.bounds().least_sum_ns(from, to, 1), 0);
      const std::uint32_t at_least = replicas_for(least, period_ns);
      bool is_of_use = false;
      for (std::uint32_t k = 1; k <= most_stages; ++k)
        is_of_use |= at_least + needed[k - 1][to] < needed[k][from];
      if (!is_of_use) continue;
      const std::uint32_t most = std::min(max_replicas, devices - before - fewest[to]);
      const std::int64_t longest = longest_stage_ns(period_ns, most);
      if (!stages.may_take(from, to, longest)) continue;
      const std::int64_t time = stages.time_ns(from, to);
      if (time > longest) continue;
      const std::uint32_t replicas = replicas_for(time, period_ns);
      for (std::uint32_t k = 1; k <= most_stages; ++k) {
        const std::uint32_t sum = replicas + needed[k - 1][to];
        if (sum >= needed[k][from]) continue;
        needed[k][from] = sum;
        first[k][from] = {from, to, replicas};
      }
    }
    for (std::uint32_t k = 0; k < most_stages; ++k)
      fewest[from] = std::min(fewest[from], needed[k][from]);
  }
  std::vector<Stage> pipeline;
  if (needed[most_stages][0] > devices) return pipeline;
  for (std::uint32_t at = 0, left = most_stages; at != full; at = pipeline.back().to, --left)
    pipeline.push_back(first[left][at]);
  return pipeline;
}

// Where the runner decides, for each number of stages that it leaves time for.
Pipeline PipelineSearch::with_runner(Pipeline best) {
  std::int64_t period = pace(best).period_ns;
  const auto improve = [&](std::int64_t period_ns, std::uint32_t count) {
    const auto found = few_stages_within(stages_, period_ns, count, devices_, max_replicas_);
    if (found.empty()) return false;
    best.clear();
    for (const auto& stage : found)
      best.push_back({stage.from, stage.to, {static_cast<std::uint16_t>(stage.replicas)}});
    period = pace(best).period_ns;
    return true;
  };
  // The most stages first: the runner alone often decides what they reach.
  for (auto count = static_cast<std::uint32_t>(std::min<std::int64_t>(period / hop_ns_, devices_));
       count > 0; --count) {
    std::int64_t low = std::max(proven_ns_, hop_ns_ * count);
    if (low >= period || improve(low, count) || !improve(period - 1, count)) continue;
    for (++low; low < period;) {
      const std::int64_t middle = low + (period - 1 - low) / 2;
      if (!improve(middle, count)) low = middle + 1;
    }
  }
  while (best.size() > 1 && improve(period, static_cast<std::uint32_t>(best.size() - 1))) {
  }
  proven_ns_ = period;
  return best;
}

}  // namespace segue
