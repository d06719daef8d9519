// Dynamic programming over ideals (Tarnawski et al., NeurIPS 2020) with labels that are not
// dominated, as in resource-constrained shortest paths, inside a bisection on the bottleneck that
// moves to realisable values (Pinar and Aykanat, JPDC 2004).
#include "planner/optimal/search.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "plan/internal/pipeline_pace.h"
#include "planner/optimal/equal_devices.h"
#include "segue/stop.h"

namespace segue {
namespace {

constexpr std::int64_t kNoLimit = PaceLimits::kNone;

// Sorts choices by their number of devices.
std::vector<Allotment> by_device_count(std::vector<Allotment> allotments) {
  std::ranges::sort(allotments, [](const Allotment& a, const Allotment& b) {
    return std::pair(device_count(a), b) < std::pair(device_count(b), a);
  });
  return allotments;
}

using EqualStages = EqualDevices<LatticeStages>;

PlannedStages to_pipeline(std::span<const EqualStages::Stage> stages) {
  PlannedStages pipeline;
  for (const EqualStages::Stage& stage : stages)
    pipeline.push_back({stage.from, stage.to, {static_cast<std::uint16_t>(stage.replicas)}});
  return pipeline;
}

}  // namespace

std::uint32_t device_count(const Allotment& devices) {
  return std::accumulate(devices.begin(), devices.end(), std::uint32_t{0});
}

std::vector<Allotment> all_allotments(std::span<const DevicePool> pools, std::uint32_t most) {
  std::vector<Allotment> result{Allotment{}};
  for (std::size_t pool = 0; pool < pools.size(); ++pool) {
    const std::size_t before = result.size();
    for (std::size_t i = 0; i < before; ++i) {
      for (std::uint32_t count = 1; count <= pools[pool].count; ++count) {
        Allotment more = result[i];
        more[pool] = static_cast<std::uint16_t>(count);
        if (device_count(more) <= most) result.push_back(more);
      }
    }
  }
  result.erase(result.begin());  // the choice without a device
  return result;
}

PipelineSearch::PipelineSearch(const LatticeStages& stages, std::span<const DevicePool> pools,
                               std::uint32_t max_replicas)
    : stages_(stages),
      costs_(stages.costs()),
      bounds_(stages.bounds()),
      pools_(pools),
      devices_(device_count(pools)),
      max_replicas_(max_replicas == 0 ? devices_ : std::min(max_replicas, devices_)),
      hop_ns_(runner_hop(pools).count()),
      has_shared_link_(std::ranges::any_of(pools, &DevicePool::shares_link)),
      full_(stages.size() - 1),
      allotments_(pools.size() > 1 ? by_device_count(all_allotments(pools, max_replicas_))
                                   : std::vector<Allotment>{}),
      pairs_(costs_),
      labels_(stages.size()),
      least_devices_(stages.size()) {}

PipelineSearch::Shares PipelineSearch::shares_of(const Allotment& devices,
                                                 std::span<const IdealCosts::Cost> costs) {
  Shares shares{};
  for (std::size_t pool = 0; pool < costs.size(); ++pool)
    shares[pool] = {devices[pool], costs[pool].time_ns};
  return shares;
}

bool PipelineSearch::is_minimal(const Allotment& devices, std::span<const IdealCosts::Cost> costs,
                                std::int64_t limit_ns) {
  for (std::size_t pool = 0; pool < costs.size(); ++pool) {
    if (devices[pool] == 0) continue;
    Allotment fewer = devices;
    --fewer[pool];
    if (device_count(fewer) > 0 && stage_period_ns(shares_of(fewer, costs)) <= limit_ns)
      return false;
  }
  return true;
}

// Visits every choice of devices that satisfies the period. If no link is shared, only minimal
// choices: with any device less, the period would be exceeded.
template <typename Visit>
void PipelineSearch::for_allotments(std::span<const IdealCosts::Cost> costs, std::int64_t limit_ns,
                                    Visit visit) const {
  if (pools_.size() == 1) {
    const std::uint32_t replicas = replicas_for(costs[0].time_ns, limit_ns);
    if (replicas <= max_replicas_) visit(Allotment{static_cast<std::uint16_t>(replicas)});
    return;
  }
  for (const Allotment& devices : allotments_) {
    if (stage_period_ns(shares_of(devices, costs)) > limit_ns) continue;
    if (!has_shared_link_ && !is_minimal(devices, costs, limit_ns)) continue;
    visit(devices);
  }
}

PipelineSearch::Layout PipelineSearch::layout_for(const PaceLimits& limits, bool counts_latency,
                                                  bool counts_rest) const {
  Layout layout;
  layout.counts_rest = counts_rest;
  layout.limits = limits;
  for (const DevicePool& pool : pools_) layout.part_limits[layout.parts++] = pool.count;
  layout.first_link = layout.parts;
  for (const DevicePool& pool : pools_) {
    if (pool.shares_link && limits.period_ns < kNoLimit)
      layout.part_limits[layout.parts++] = limits.period_ns;
  }
  layout.links = layout.parts - layout.first_link;
  if (counts_latency) {
    layout.latency = layout.parts;
    layout.part_limits[layout.parts++] = limits.latency_ns;
  }
  return layout;
}

PipelineSearch::Parts PipelineSearch::parts_of(const Layout& layout, const Allotment& devices,
                                               std::span<const IdealCosts::Cost> costs) const {
  Parts parts{};
  const Shares shares = shares_of(devices, costs);
  std::size_t link = layout.first_link;
  for (std::size_t pool = 0; pool < costs.size(); ++pool) {
    parts[pool] = devices[pool];
    if (layout.links > 0 && pools_[pool].shares_link)
      parts[link++] = stage_busy_ns(shares, pool, costs[pool].link_ns);
  }
  if (layout.latency > 0) parts[layout.latency] = stage_latency_ns(shares) + hop_ns_;
  return parts;
}

PaceLimits PipelineSearch::pace(const PlannedStages& pipeline) const {
  const bool has_hops = pipeline.size() > 1 || device_count(pipeline[0].devices) > 1;
  std::vector<StageUses> stages;
  for (const PlannedStage& stage : pipeline) {
    StageUses& uses = stages.emplace_back();
    for (std::uint32_t pool = 0; pool < pools_.size(); ++pool) {
      if (stage.devices[pool] == 0) continue;
      const IdealCosts::Cost cost = costs_[pool](stage.from, stage.to);
      // The search ignores the host's cores, because labels do not contain the time on the host.
      uses.push_back({pool, {stage.devices[pool], cost.time_ns}, cost.link_ns, 0});
    }
  }
  return {pipeline_period_ns(stages, pools_), pipeline_latency_ns(stages, has_hops ? hop_ns_ : 0)};
}

std::int64_t PipelineSearch::least_period_ns() const {
  std::int64_t alone = kNoLimit;
  for (const IdealCosts& kind : costs_) alone = std::min(alone, kind(0, full_).time_ns);
  return std::min(alone, least_latency_ns() / devices_);
}

std::int64_t PipelineSearch::least_latency_ns() const {
  // With unequal devices, each may run the operators for which it is the fastest.
  return pools_.size() > 1 ? bounds_.least_sum_ns(0, full_, devices_) : costs_[0].least_sum_ns();
}

// Visits every stage that begins at an ideal and satisfies the limits, given the devices before and
// after it, in ascending number of operators.
template <typename Visit>
void PipelineSearch::for_stages(const Layout& layout, std::size_t from, Visit visit) {
  const std::int64_t limit = layout.limits.period_ns;
  const std::uint32_t before = from == 0 ? 0 : bounds_.least_devices(0, from, limit);
  const auto above = pairs_.above(from);
  for (std::size_t position = 0; position < above.size(); ++position) {
    const std::size_t to = above[position];
    if (labels_[to].empty() || before + least_devices_[to] >= devices_) continue;
    const std::uint32_t most = std::min(max_replicas_, devices_ - before - least_devices_[to]);
    if (pairs_.least_ns(from, position) > longest_ns_[most]) continue;
    const auto costs = pairs_.costs(from, position);
    for_allotments(costs, limit, [&](const Allotment& devices) {
      visit(PlannedStage{from, to, devices}, costs);
    });
  }
}

bool PipelineSearch::dominates(const Layout& layout, const Label& a, const Label& b) {
  for (std::size_t part = 0; part < layout.parts; ++part) {
    if (a.parts[part] > b.parts[part]) return false;
  }
  return !layout.counts_rest || a.rest <= b.rest;
}

void PipelineSearch::add(const Layout& layout, const Label& label) {
  for (std::size_t part = 0; part < layout.parts; ++part) {
    if (label.parts[part] > layout.part_limits[part]) return;
  }
  auto& labels = labels_[label.stage.from];
  constexpr std::uint64_t kOfOneLabel = 8;  // cost of a new label, in comparisons
  work_ += kOfOneLabel;
  if (work_ > kMostWork) throw TooMuchWork();
  for (const Label& other : labels) {
    ++work_;
    if (dominates(layout, other, label)) return;
  }
  std::erase_if(labels, [&](const Label& other) { return dominates(layout, label, other); });
  labels.push_back(label);
  std::int64_t devices = 0;
  for (std::size_t pool = 0; pool < pools_.size(); ++pool) devices += label.parts[pool];
  std::uint32_t& least = least_devices_[label.stage.from];
  least = std::min(least, static_cast<std::uint32_t>(devices));
}

// The first kind of device of a stage determines its host bytes.
PipelineSearch::Rest PipelineSearch::with_stage(const Rest& rest, const PlannedStage& stage,
                                                std::span<const IdealCosts::Cost> costs) {
  std::size_t pool = 0;
  while (stage.devices[pool] == 0) ++pool;
  return {rest.devices + device_count(stage.devices), rest.stages + 1,
          rest.host_bytes + costs[pool].host_bytes};
}

void PipelineSearch::fill(const Layout& layout) {
  for (auto& labels : labels_) labels.clear();
  labels_[full_].emplace_back();
  std::ranges::fill(least_devices_, devices_);
  least_devices_[full_] = 0;
  longest_ns_.clear();
  for (std::uint32_t count = 0; count <= devices_; ++count)
    longest_ns_.push_back(longest_stage_ns(layout.limits.period_ns, count));
  for (std::size_t from = full_; from-- > 0;) {
    check_stopped();
    for_stages(layout, from,
               [&](const PlannedStage& stage, std::span<const IdealCosts::Cost> costs) {
                 const Parts parts = parts_of(layout, stage.devices, costs);
                 const auto& beyond = labels_[stage.to];
                 for (std::uint32_t next = 0; next < beyond.size(); ++next) {
                   Label label{beyond[next].parts, with_stage(beyond[next].rest, stage, costs),
                               stage, next};
                   for (std::size_t part = 0; part < layout.parts; ++part)
                     label.parts[part] += parts[part];
                   add(layout, label);
                 }
               });
  }
}

std::optional<PlannedStages> PipelineSearch::any_within(const PaceLimits& limits) {
  fill(layout_for(limits, limits.latency_ns < kNoLimit, false));
  if (labels_[0].empty()) return std::nullopt;
  PlannedStages pipeline;
  for (const Label* label = labels_[0].data();; label = &labels_[label->stage.to][label->next]) {
    pipeline.push_back(label->stage);
    if (label->stage.to == full_) return pipeline;
  }
}

std::optional<PlannedStages> PipelineSearch::alone(const PaceLimits& limits,
                                                   bool by_latency) const {
  std::optional<PlannedStages> best;
  const auto measure = [&](const PlannedStages& pipeline) {
    const PaceLimits of = pace(pipeline);
    return by_latency ? of.latency_ns : of.period_ns;
  };
  for (std::size_t pool = 0; pool < pools_.size(); ++pool) {
    PlannedStage stage{0, full_, {}};
    stage.devices[pool] = 1;
    const PlannedStages pipeline{stage};
    const PaceLimits of = pace(pipeline);
    if (of.period_ns > limits.period_ns || of.latency_ns > limits.latency_ns) continue;
    if (!best || measure(pipeline) < measure(*best)) best = pipeline;
  }
  return best;
}

// If neither a shared link nor a latency limit matters, the stages alone decide. Otherwise their
// optimum is the lower end of the bisection.
std::optional<PlannedStages> PipelineSearch::fastest_pace(const PaceLimits& limits) {
  const bool limits_latency = limits.latency_ns < kNoLimit;
  std::optional<PlannedStages> single = alone(limits, false);
  std::optional<PlannedStages> best = single;
  proven_ns_ = least_period_ns();
  if (pools_.size() == 1) {
    std::vector<std::uint32_t> cuts(stages_.size());
    std::iota(cuts.begin(), cuts.end(), 0U);
    EqualStages relaxed(stages_, std::move(cuts), {}, devices_, max_replicas_);
    const auto least = relaxed.solve(proven_ns_, limits.period_ns);
    if (!least) return std::nullopt;
    proven_ns_ = *least;
    if (single && pace(*single).period_ns == proven_ns_) return single;
    const PlannedStages pipeline = to_pipeline(relaxed.pipeline());
    const PaceLimits reached = pace(pipeline);
    const bool is_within =
        reached.period_ns <= limits.period_ns && reached.latency_ns <= limits.latency_ns;
    if (is_within && reached.period_ns == proven_ns_) {
      // A pipeline with fewer devices may use a shared link more, or have a higher latency.
      const bool with_fewest = !has_shared_link_ && !limits_latency;
      pairs_ = StagePairs::within(stages_, proven_ns_, relaxed.needed(),
                                  with_fewest ? relaxed.needed()[0] : devices_, max_replicas_);
      return settle_ties({proven_ns_, limits.latency_ns}, limits_latency);
    }
    if (is_within && (!best || reached.period_ns < pace(*best).period_ns)) best = pipeline;
  }
  PaceLimits closer = limits;
  if (best) closer.period_ns = std::min(closer.period_ns, pace(*best).period_ns);
  try {
    pairs_ = StagePairs::affordable(stages_.lattice(), costs_, bounds_, devices_, closer);
    if (!best) best = any_within(limits);
    if (!best) return std::nullopt;
    proven_ns_ = least_period_within(limits, proven_ns_, pace(*best).period_ns);
  } catch (const TooMuchWork&) {
    if (!best) throw;
    return best;
  }
  if (single && pace(*single).period_ns == proven_ns_) return single;
  return settle_ties({proven_ns_, limits.latency_ns}, limits_latency);
}

// Bisects between the lower bound `low` and `high`, which some pipeline reaches.
std::int64_t PipelineSearch::least_period_within(const PaceLimits& limits, std::int64_t low,
                                                 std::int64_t high) {
  // The known value is often optimal. One probe just below it proves that.
  for (std::int64_t middle = high - 1; low < high; middle = low + (high - low) / 2) {
    if (const auto found = any_within({middle, limits.latency_ns})) {
      high = pace(*found).period_ns;
    } else {
      low = middle + 1;
    }
  }
  return high;
}

std::optional<PlannedStages> PipelineSearch::shortest_latency(const PaceLimits& limits) {
  std::optional<PlannedStages> single = alone(limits, true);
  if (single) proven_ns_ = pace(*single).latency_ns;
  PaceLimits probe = limits;
  if (single) probe.latency_ns = pace(*single).latency_ns - 1;
  pairs_ = StagePairs::affordable(stages_.lattice(), costs_, bounds_, devices_, probe);
  const Layout layout = layout_for(probe, true, false);
  fill(layout);
  if (labels_[0].empty()) return single;
  probe.latency_ns = kNoLimit;
  for (const Label& label : labels_[0])
    probe.latency_ns = std::min(probe.latency_ns, label.parts[layout.latency]);
  proven_ns_ = probe.latency_ns;
  return settle_ties(probe, true);
}

// Chooses among all pipelines within the limits: fewest devices, then fewest stages, then fewest
// host bytes, then earliest cuts.
PlannedStages PipelineSearch::settle_ties(const PaceLimits& limits, bool counts_latency) {
  const Layout layout = layout_for(limits, counts_latency, true);
  work_ = 0;
  try {
    fill(layout);
  } catch (const TooMuchWork&) {
    work_ = 0;
    return *any_within(limits);  // too much work, with hundreds of devices
  }
  Rest rest = std::ranges::min(labels_[0], {}, &Label::rest).rest;
  Parts left = layout.part_limits;
  PlannedStages result;
  for (std::size_t at = 0; at != full_; at = result.back().to)
    result.push_back(first_stage(layout, at, rest, left));
  return result;
}

// Returns the earliest stage from an ideal after which the resources `left` suffice to end with
// `rest`, and subtracts its needs from both.
PlannedStage PipelineSearch::first_stage(const Layout& layout, std::size_t from, Rest& rest,
                                         Parts& left) {
  std::optional<PlannedStage> chosen;
  Parts needed{};
  Rest after;
  for_stages(layout, from, [&](const PlannedStage& stage, std::span<const IdealCosts::Cost> costs) {
    if (chosen) return;
    const Parts parts = parts_of(layout, stage.devices, costs);
    for (const Label& label : labels_[stage.to]) {
      bool fits = with_stage(label.rest, stage, costs) == rest;
      for (std::size_t part = 0; part < layout.parts; ++part)
        fits = fits && parts[part] + label.parts[part] <= left[part];
      if (!fits) continue;
      chosen = stage;
      needed = parts;
      after = label.rest;
      return;
    }
  });
  for (std::size_t part = 0; part < layout.parts; ++part) left[part] -= needed[part];
  rest = after;
  return *chosen;
}

}  // namespace segue
