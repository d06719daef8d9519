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
  // Per ideal and number of stages, side by side since they are read together: the fewest devices
  // of all beyond the ideal, and the first stage of them.
  const std::size_t width = most_stages + 1;
  std::vector<std::uint32_t> needed(stages.size() * width, devices + 1);
  std::vector<Stage> first(stages.size() * width);
  std::fill_n(needed.begin() + static_cast<std::ptrdiff_t>(full * width), width, 0);
  std::vector<std::int64_t> longest(devices + 1);  // of a stage, per number of its devices
  for (std::uint32_t count = 1; count <= devices; ++count)
    longest[count] = longest_stage_ns(period_ns, count);
  // Ideals that a stage may end at, descending, with the fewest devices of all beyond them and
  // fewer stages than all.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> ends{{full, 0}};
  for (std::uint32_t from = full; from-- > 0;) {
    const std::uint32_t before = from == 0 ? 0 : stages.bounds().least_devices(0, from, period_ns);
    if (before >= devices) continue;
    std::uint32_t* const own = &needed[from * width];
    for (const auto& [to, beyond] : ends) {
      if (before + beyond >= devices) continue;
      const std::uint32_t* const other = &needed[to * width];
      // What a stage may have at most and still bring an advantage.
      std::uint32_t useful = 0;
      for (std::uint32_t k = 1; k <= most_stages; ++k) {
        if (own[k] > other[k - 1]) useful = std::max(useful, own[k] - other[k - 1] - 1);
      }
      useful = std::min({useful, max_replicas, devices - before - beyond});
      if (useful == 0 || !stages.may_take(from, to, longest[useful])) continue;
      const std::int64_t time = stages.time_ns(from, to);
      if (time > longest[useful]) continue;
      const std::uint32_t replicas = replicas_for(time, period_ns);
      for (std::uint32_t k = 1; k <= most_stages; ++k) {
        const std::uint32_t sum = replicas + other[k - 1];
        if (sum >= own[k]) continue;
        own[k] = sum;
        first[from * width + k] = {from, to, replicas};
      }
    }
    const std::uint32_t fewest = *std::min_element(own, own + most_stages);
    if (fewest < devices) ends.emplace_back(from, fewest);
  }
  std::vector<Stage> pipeline;
  if (needed[most_stages] > devices) return pipeline;
  for (std::uint32_t at = 0, left = most_stages; at != full; at = pipeline.back().to, --left)
    pipeline.push_back(first[at * width + left]);
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
