#include "planner/set/groups.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "planner/set/response.h"

namespace segue {
namespace {

// Whether nothing that the search compares is better in `b`.
bool dominates(const GroupCandidate& a, const GroupCandidate& b) {
  return a.reach >= b.reach && a.growth.scale >= b.growth.scale &&
         a.growth.slack >= b.growth.slack && a.latency_ns <= b.latency_ns &&
         a.link.fixed <= b.link.fixed && a.link.scaled <= b.link.scaled &&
         a.host.fixed <= b.host.fixed && a.host.scaled <= b.host.scaled;
}

void take(std::vector<GroupCandidate>& front, GroupCandidate candidate) {
  const auto worse = [&](const GroupCandidate& other) { return dominates(candidate, other); };
  std::erase_if(front, worse);
  front.push_back(std::move(candidate));
}

bool is_dominated(std::span<const GroupCandidate> front, const GroupCandidate& candidate) {
  return std::ranges::any_of(
      front, [&](const GroupCandidate& other) { return dominates(other, candidate); });
}

double share_met(std::span<const std::uint32_t> models, std::span<const double> latencies,
                 const Demands& demands) {
  double met = 1;
  for (std::size_t i = 0; i < models.size(); ++i) {
    const auto& limit = demands.max_latency[models[i]];
    if (limit) met = std::min(met, static_cast<double>(limit->count()) / latencies[i]);
  }
  return met;
}

double sum_of(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

// Makes and compares the candidates of one group.
class SharedGroup {
 public:
  SharedGroup(std::uint32_t tpus, const Demands& demands, Nanoseconds hop)
      : tpus_(tpus), demands_(demands), hop_(hop) {}

  void consider(GroupCandidate candidate) {
    const auto residents = candidate.residents();
    const double least_latency_ns = pace(candidate, residents);
    candidate.latency_ns = least_latency_ns;
    if (is_dominated(front_, candidate)) return;
    settle_latency(candidate, residents);
    if (!is_dominated(front_, candidate)) take(front_, std::move(candidate));
  }

  [[nodiscard]] std::vector<GroupCandidate> front() && { return std::move(front_); }

 private:
  // Sets loads and growth. Returns the sum of the latencies without waiting.
  double pace(GroupCandidate& candidate, std::span<const SetTpu> residents) const {
    double latency_ns = 0;
    for (const SetTpu& tpu : residents) {
      Load busy;
      for (std::size_t i = 0; i < tpu.residents.size(); ++i) {
        const Resident& resident = tpu.residents[i];
        const SetLayout& layout = *candidate.layouts[i];
        const double copies = static_cast<double>(tpus_) / static_cast<double>(layout.size());
        const Load& rate = demands_.rates[resident.model];
        busy.add(rate, to_s(resident.time + resident.reload) / copies);
        const SegmentTime& time = placed(candidate, layout, resident).time;
        candidate.link.add(rate, to_s(time.link() + resident.reload) / copies);
        candidate.host.add(rate, to_s(time.host) / copies);
        latency_ns += static_cast<double>((resident.time + resident.reload).count()) / copies;
      }
      const Growth growth = demands_.growth(busy, 1);
      candidate.growth.scale = std::min(candidate.growth.scale, growth.scale);
      candidate.growth.slack = std::min(candidate.growth.slack, growth.slack);
    }
    candidate.reach = std::min(1.0, candidate.growth.slack);
    return latency_ns;
  }

  static const PlacedStage& placed(const GroupCandidate& candidate, const SetLayout& layout,
                                   const Resident& resident) {
    // A stage that caches less than it could has used up its room.
    const SetStage& stage = layout[resident.stage];
    return stage.in(candidate.sharing == Sharing::kSwapped ? stage.room() : resident.on_chip_bytes);
  }

  // Models without a rate slow down until the latencies are met.
  void settle_latency(GroupCandidate& candidate, std::span<const SetTpu> residents) const {
    const auto at = [&](double scale) {
      return latencies_ns(candidate, residents, demands_, demands_.scale_for_latency(scale), hop_);
    };
    auto latencies = at(candidate.growth.scale);
    double met = share_met(candidate.models, latencies, demands_);
    if (met < 1 && demands_.has_weights && std::isfinite(candidate.growth.scale)) {
      constexpr int kHalvings = 30;
      double slow = 0;
      double fast = candidate.growth.scale;
      for (int i = 0; i < kHalvings; ++i) {
        const double middle = (slow + fast) / 2;
        (share_met(candidate.models, at(middle), demands_) >= 1 ? slow : fast) = middle;
      }
      candidate.growth.scale = slow;
      latencies = at(slow);
      met = share_met(candidate.models, latencies, demands_);
    }
    candidate.latency_ns = sum_of(latencies);
    candidate.reach = std::min(candidate.reach, met);
  }

  std::uint32_t tpus_;
  const Demands& demands_;
  Nanoseconds hop_;
  std::vector<GroupCandidate> front_;
};

// Returns the layouts of a model on a group: their numbers of stages divide that of the TPUs.
std::vector<const SetLayout*> layouts_on(SetChoices& choices, std::uint32_t tpus) {
  std::vector<const SetLayout*> result;
  for (std::uint32_t stages = 1; stages <= tpus; ++stages) {
    if (tpus % stages != 0 || (stages < tpus && !choices.replicates())) continue;
    for (const SetLayout& layout : choices.layouts(stages)) result.push_back(&layout);
  }
  return result;
}

// Sets `positions` to the next choice of one number below each size. Returns false after the last.
bool next_choice(std::vector<std::size_t>& positions, std::span<const std::size_t> sizes) {
  for (std::size_t i = 0; i < positions.size(); ++i) {
    if (++positions[i] < sizes[i]) return true;
    positions[i] = 0;
  }
  return false;
}

}  // namespace

Demands::Demands(const SetRequest& request) : limit(1 - request.headroom) {
  has_weights = std::ranges::any_of(request.demands,
                                    [](const ModelDemand& demand) { return !demand.rate_per_s; });
  for (const ModelDemand& demand : request.demands) {
    max_latency.push_back(demand.max_latency);
    const double rate = demand.rate_per_s.value_or(demand.weight);
    rates.push_back(has_weights && demand.rate_per_s ? Load{rate, 0} : Load{0, rate});
  }
}

Growth Demands::growth(const Load& load, double capacity) const {
  const double most = limit * capacity;
  Growth result;
  if (load.scaled > 0) result.scale = std::max(0.0, most - load.fixed) / load.scaled;
  if (!has_weights) result.slack = result.scale;
  if (load.fixed > 0) result.slack = most / load.fixed;
  return result;
}

std::vector<SetTpu> GroupCandidate::residents() const {
  std::vector<SetTpu> result(tpus);
  for (std::uint32_t t = 0; t < tpus; ++t) {
    result[t].sharing = sharing;
    const auto stage_of = [&](std::size_t i) {
      return static_cast<std::uint32_t>(t % layouts[i]->size());
    };
    // The largest reserve counts for all.
    std::uint64_t room = std::numeric_limits<std::uint64_t>::max();
    for (std::size_t i = 0; i < models.size(); ++i)
      room = std::min(room, (*layouts[i])[stage_of(i)].room());
    for (std::size_t i = 0; i < models.size(); ++i) {
      const SetStage& stage = (*layouts[i])[stage_of(i)];
      const bool is_swapped = sharing == Sharing::kSwapped;
      const PlacedStage& placed = stage.in(is_swapped ? stage.room() : room);
      if (!is_swapped) room -= placed.on_chip_bytes;
      result[t].residents.push_back({models[i], stage_of(i), placed.on_chip_bytes,
                                     placed.host_bytes, placed.time.total(),
                                     is_swapped ? placed.reload : Nanoseconds(0)});
    }
  }
  return result;
}

GroupCandidate own_candidate(std::uint32_t model, const Plan& plan, const Demands& demands) {
  GroupCandidate result{.tpus = plan.device_count(), .models = {model}, .own = &plan};
  const Load& rate = demands.rates[model];
  Load busy;
  busy.add(rate, to_s(plan.predicted.bottleneck));
  result.growth = demands.growth(busy, 1);
  for (const Stage& stage : plan.stages) {
    result.link.add(rate, to_s(stage.time.link()));
    result.host.add(rate, to_s(stage.time.host));
  }
  result.latency_ns = static_cast<double>(plan.predicted.latency.count());
  result.reach = std::min({1.0, result.growth.slack,
                           share_met(result.models, std::span(&result.latency_ns, 1), demands)});
  return result;
}

std::vector<GroupCandidate> shared_candidates(std::span<const std::uint32_t> models,
                                              std::uint32_t tpus, std::vector<SetChoices>& choices,
                                              const Demands& demands, Nanoseconds hop) {
  SharedGroup group(tpus, demands, hop);
  std::vector<std::vector<const SetLayout*>> layouts(choices.size());
  for (const std::uint32_t model : models) layouts[model] = layouts_on(choices[model], tpus);
  std::vector<std::uint32_t> order(models.begin(), models.end());
  bool is_first_order = true;
  do {
    std::vector<std::size_t> sizes;
    for (const std::uint32_t model : order) sizes.push_back(layouts[model].size());
    std::vector<std::size_t> positions(order.size());
    do {
      GroupCandidate candidate{.tpus = tpus, .sharing = Sharing::kCached, .models = order};
      for (std::size_t i = 0; i < order.size(); ++i)
        candidate.layouts.push_back(layouts[order[i]][positions[i]]);
      group.consider(candidate);
      if (!is_first_order) continue;  // the order of models that are swapped does not matter
      candidate.sharing = Sharing::kSwapped;
      group.consider(std::move(candidate));
    } while (next_choice(positions, sizes));
    is_first_order = false;
  } while (std::ranges::next_permutation(order).found);
  return std::move(group).front();
}

std::vector<double> latencies_ns(const GroupCandidate& candidate, std::span<const SetTpu> tpus,
                                 const Demands& demands, double scale, Nanoseconds hop) {
  struct Copy {
    double latency_ns = 0;
    double jitter_ns = 0;
  };
  const std::size_t count = candidate.models.size();
  std::vector<double> result(count);
  std::vector<Copy> copies(count);
  for (std::size_t t = 0; t < tpus.size(); ++t) {
    std::vector<Arrivals> arrivals;
    for (std::size_t i = 0; i < count; ++i) {
      const Resident& resident = tpus[t].residents[i];
      if (resident.stage == 0) copies[i] = {};
      const std::size_t stages = candidate.layouts[i]->size();
      const double period_s =
          static_cast<double>(tpus.size() / stages) / demands.rates[resident.model].at(scale);
      arrivals.push_back({static_cast<double>((resident.time + resident.reload).count()),
                          1e9 * period_s, copies[i].jitter_ns});
    }
    const auto response = static_cast<double>(longest_response(arrivals).count());
    if (response >= static_cast<double>(kLongestWait.count())) {
      std::ranges::fill(result, response);
      return result;
    }
    for (std::size_t i = 0; i < count; ++i) {
      const bool is_alone = tpus.size() == 1;
      copies[i].latency_ns += response + (is_alone ? 0.0 : static_cast<double>(hop.count()));
      copies[i].jitter_ns += response - arrivals[i].time_ns;
      result[i] = std::max(result[i], copies[i].latency_ns);
    }
  }
  return result;
}

}  // namespace segue
