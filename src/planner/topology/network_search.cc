#include "planner/topology/network_search.h"

#include <algorithm>
#include <cmath>

#include "segue/cost.h"
#include "segue/stop.h"

namespace segue {
namespace {

constexpr std::int64_t kNoLimit = PaceLimits::kNone;

}  // namespace

NetworkSearch::NetworkSearch(const LatticeStages& stages, const PlacedPools& placed,
                             const Topology& topology, std::uint32_t max_replicas,
                             std::uint64_t most_work)
    : stages_(stages),
      placed_(placed),
      law_(topology, placed.pools),
      equal_nodes_(topology, placed.node),
      devices_(device_count(placed.pools)),
      max_replicas_(max_replicas == 0 ? devices_ : std::min(max_replicas, devices_)),
      most_work_(most_work),
      hop_ns_(runner_hop(placed.pools).count()),
      allotments_(all_allotments(placed.pools, max_replicas_)),
      labels_(stages.size()),
      least_devices_(stages.size()) {
  const auto count = [](const Allotment& devices) { return device_count(devices); };
  std::ranges::stable_sort(allotments_, {}, count);
  std::erase_if(allotments_,
                [&](const Allotment& devices) { return !equal_nodes_.may_be_in_order(devices); });
  entry_ = intern(law_.entry());
  const BoundaryBytes bytes(stages.costs()[0].of_operators().graph());
  for (std::size_t i = 0; i < stages.size(); ++i) {
    bytes_.push_back(bytes([&](std::size_t op) { return stages.lattice().contains(i, op); }));
  }
  // The place is the same for all stages if the devices are on one node or equal.
  for (const Allotment& devices : allotments_) {
    bool varies = false;
    Shares shares{};
    std::optional<std::size_t> first;
    bool is_one_node = true;
    for (std::size_t pool = 0; pool < placed.pools.size(); ++pool) {
      if (devices[pool] == 0) continue;
      if (!first) first = pool;
      is_one_node = is_one_node && placed.node[pool] == placed.node[*first];
      varies = varies || placed.kind[pool] != placed.kind[*first];
      shares[pool] = {devices[pool], 1};
    }
    const bool is_same = is_one_node || !varies;
    place_of_allotment_.push_back(is_same ? intern(law_.place_of(in_use(shares))) : kVaries);
  }
}

NetworkSearch::Place NetworkSearch::intern(const NetworkLaw::Place& place) {
  const auto [found, is_new] = place_ids_.emplace(place, static_cast<Place>(places_.size()));
  if (is_new) {
    places_.push_back(place);
    building_.emplace_back();
  }
  return found->second;
}

const NetworkLaw::Transfer& NetworkSearch::transfer(Place from, Place to) {
  if (transfers_.size() <= from) transfers_.resize(from + 1);
  auto& known = transfers_[from];
  if (known.size() <= to) known.resize(to + 1);
  if (!known[to])
    known[to] = std::make_unique<NetworkLaw::Transfer>(law_.transfer(places_[from], places_[to]));
  return *known[to];
}

NetworkSearch::Place NetworkSearch::place_of(std::size_t allotment, const Shares& shares) {
  const Place known = place_of_allotment_[allotment];
  return known != kVaries ? known : intern(law_.place_of(in_use(shares)));
}

NetworkSearch::Shares NetworkSearch::shares_of(const Allotment& devices,
                                               std::span<const IdealCosts::Cost> costs) const {
  Shares shares{};
  for (std::size_t pool = 0; pool < placed_.pools.size(); ++pool)
    shares[pool] = {devices[pool], costs[placed_.kind[pool]].time_ns};
  return shares;
}

// Whether the stage needs all of its devices for the period. More than that may only change where
// tensors go, which matters once a resource is counted.
bool NetworkSearch::is_minimal(const Allotment& devices, const Shares& shares,
                               std::int64_t limit_ns) const {
  for (std::size_t pool = 0; pool < placed_.pools.size(); ++pool) {
    if (devices[pool] == 0) continue;
    Shares fewer = shares;
    --fewer[pool].devices;
    if (device_count(devices) > 1 && stage_period_ns(in_use(fewer)) <= limit_ns) return false;
  }
  return true;
}

bool NetworkSearch::dominates(const Label& a, const Label& b) const {
  for (std::size_t pool = 0; pool < placed_.pools.size(); ++pool) {
    if (a.used[pool] > b.used[pool]) return false;
  }
  for (std::size_t r = 0; r < counted_.size(); ++r) {
    if (a.busy_ns[r] > b.busy_ns[r]) return false;
  }
  return (!counts_latency_ || a.latency_ns <= b.latency_ns) && a.rest <= b.rest;
}

void NetworkSearch::add_boundary(Label& label, Place before, Place behind, std::size_t ideal) {
  const NetworkLaw::Transfer& way = transfer(before, behind);
  for (std::size_t r = 0; r < counted_.size(); ++r) {
    if (counted_[r] < law_.resources()) label.busy_ns[r] += way.busy_ns(counted_[r], bytes_[ideal]);
  }
  label.latency_ns += way.latency_ns(bytes_[ideal]);
  label.rest.bytes +=
      static_cast<std::uint64_t>(std::llround(way.hops * static_cast<double>(bytes_[ideal])));
}

void NetworkSearch::add(const PaceLimits& limits, const Label& label) {
  constexpr std::uint64_t kOfOneLabel = 8;  // cost of a new label, in comparisons
  work_ += kOfOneLabel;
  if (work_ > most_work_) throw TooMuchWork();
  if (counts_latency_ && label.latency_ns > limits.latency_ns) return;
  for (std::size_t r = 0; r < counted_.size(); ++r) {
    if (label.busy_ns[r] > limits.period_ns) return;
  }
  auto& labels = building_[label.place];
  for (const Label& other : labels) {
    ++work_;
    if (dominates(other, label)) return;
  }
  std::erase_if(labels, [&](const Label& other) { return dominates(label, other); });
  labels.push_back(label);
}

// The devices of both, if there are as many.
std::optional<Allotment> NetworkSearch::with_rest(const Allotment& devices,
                                                  const Allotment& used) const {
  Allotment both = used;
  for (std::size_t pool = 0; pool < placed_.pools.size(); ++pool) {
    both[pool] = static_cast<std::uint16_t>(both[pool] + devices[pool]);
    if (both[pool] > placed_.pools[pool].count) return std::nullopt;
  }
  if (!equal_nodes_.are_in_order(used, devices)) return std::nullopt;
  return both;
}

// Puts a stage in front of every label of the rest.
void NetworkSearch::add_candidate(const PaceLimits& limits, const Candidate& candidate) {
  constexpr std::uint64_t kOfBoundary = 8;  // in comparisons
  const PlannedStage& stage = candidate.stage;
  const auto& rests = labels_[stage.to];
  std::optional<Place> behind;
  Label front;
  for (std::uint32_t next = 0; next < rests.size(); ++next) {
    const Label& rest = rests[next];
    ++work_;
    const auto used = with_rest(stage.devices, rest.used);
    if (!used) continue;
    if (behind != rest.place) {
      work_ += kOfBoundary;
      behind = rest.place;
      front = candidate.own;
      add_boundary(front, candidate.place, rest.place, stage.to);
      if (stage.from == 0) add_boundary(front, entry_, candidate.place, 0);
    }
    Label label = front;
    label.used = *used;
    for (std::size_t r = 0; r < counted_.size(); ++r) label.busy_ns[r] += rest.busy_ns[r];
    label.latency_ns += rest.latency_ns;
    label.rest = {label.rest.bytes + rest.rest.bytes, label.rest.devices + rest.rest.devices,
                  label.rest.stages + rest.rest.stages};
    label.next = next;
    add(limits, label);
  }
}

void NetworkSearch::extend(const PaceLimits& limits, std::size_t from, std::size_t position) {
  const std::size_t to = pairs_->above(from)[position];
  const bool needs_all = !counted_.empty() || counts_latency_ || settles_ties_;
  const std::uint32_t before =
      from == 0 ? 0 : stages_.bounds().least_devices(0, from, limits.period_ns);
  if (labels_[to].empty() || before + least_devices_[to] >= devices_) return;
  const std::uint32_t most = std::min(max_replicas_, devices_ - before - least_devices_[to]);
  if (pairs_->least_ns(from, position) > longest_stage_ns(limits.period_ns, most)) return;
  constexpr std::uint64_t kOfCosts = 32;  // in comparisons
  work_ += kOfCosts;
  const auto costs = pairs_->costs(from, position);
  for (std::size_t a = 0; a < allotments_.size(); ++a) {
    const Allotment& devices = allotments_[a];
    const std::uint32_t count = device_count(devices);
    if (count > most || (by_latency_ && count > 1)) break;
    Candidate candidate{{from, to, devices}, shares_of(devices, costs), 0, {}};
    const auto shares = in_use(candidate.shares);
    ++work_;
    if (stage_period_ns(shares) > limits.period_ns) continue;
    if (!needs_all && !is_minimal(devices, candidate.shares, limits.period_ns)) continue;
    candidate.place = place_of(a, candidate.shares);
    Label& own = candidate.own;
    own.used = devices;
    own.stage = candidate.stage;
    own.place = candidate.place;
    const bool is_alone = from == 0 && to + 1 == stages_.size() && count == 1;
    own.latency_ns = stage_latency_ns(shares) + (is_alone ? 0 : hop_ns_);
    own.rest = {0, count, 1};
    for (std::size_t r = 0; r < counted_.size(); ++r) {
      if (counted_[r] < law_.resources()) continue;
      const std::size_t pool = counted_[r] - law_.resources();
      if (devices[pool] > 0)
        own.busy_ns[r] = stage_busy_ns(shares, pool, costs[placed_.kind[pool]].link_ns);
    }
    add_candidate(limits, candidate);
  }
}

void NetworkSearch::fill(const PaceLimits& limits) {
  const std::size_t full = stages_.size() - 1;
  const bool is_wider = !pairs_ || limits.period_ns > pair_limits_.period_ns ||
                        limits.latency_ns > pair_limits_.latency_ns;
  if (is_wider) {
    pairs_ = StagePairs::affordable(stages_.lattice(), stages_.costs(), stages_.bounds(), devices_,
                                    limits);
    pair_limits_ = limits;
  }
  for (auto& labels : labels_) labels.clear();
  Label end;
  end.place = entry_;
  labels_[full].push_back(end);
  std::ranges::fill(least_devices_, devices_);
  least_devices_[full] = 0;
  for (std::size_t from = full; from-- > 0;) {
    check_stopped();
    const std::size_t count = pairs_->above(from).size();
    for (std::size_t position = 0; position < count; ++position) extend(limits, from, position);
    for (auto& labels : building_) {
      for (const Label& label : labels)
        least_devices_[from] = std::min(least_devices_[from], device_count(label.used));
      labels_[from].insert(labels_[from].end(), labels.begin(), labels.end());
      labels.clear();
    }
  }
}

std::optional<PlannedStages> NetworkSearch::best(bool by_latency) const {
  if (labels_[0].empty()) return std::nullopt;
  const Label* label = &*std::ranges::min_element(labels_[0], {}, [&](const Label& one) {
    return std::pair(by_latency ? one.latency_ns : 0, one.rest);
  });
  PlannedStages pipeline;
  while (true) {
    pipeline.push_back(label->stage);
    if (label->stage.to + 1 == stages_.size()) return pipeline;
    label = &labels_[label->stage.to][label->next];
  }
}

std::vector<std::int64_t> NetworkSearch::busy_ns(const PlannedStages& pipeline) const {
  const std::size_t pools = placed_.pools.size();
  std::vector<std::int64_t> busy(law_.resources() + pools);
  NetworkLaw::Place before = law_.entry();
  const auto cross = [&](const NetworkLaw::Place& place, std::size_t ideal) {
    const NetworkLaw::Transfer way = law_.transfer(before, place);
    for (std::size_t r = 0; r < law_.resources(); ++r) busy[r] += way.busy_ns(r, bytes_[ideal]);
    before = place;
  };
  for (const PlannedStage& stage : pipeline) {
    std::vector<IdealCosts::Cost> costs;
    for (const IdealCosts& kind : stages_.costs()) costs.push_back(kind(stage.from, stage.to));
    const Shares shares = shares_of(stage.devices, costs);
    cross(law_.place_of(in_use(shares)), stage.from);
    for (std::size_t pool = 0; pool < pools; ++pool) {
      if (placed_.pools[pool].shares_link && stage.devices[pool] > 0)
        busy[law_.resources() + pool] +=
            stage_busy_ns(in_use(shares), pool, costs[placed_.kind[pool]].link_ns);
    }
  }
  cross(law_.entry(), stages_.size() - 1);
  return busy;
}

PaceLimits NetworkSearch::pace(const PlannedStages& pipeline) const {
  PaceLimits result{std::ranges::max(busy_ns(pipeline)), 0};
  const bool has_hops = pipeline.size() > 1 || device_count(pipeline[0].devices) > 1;
  NetworkLaw::Place before = law_.entry();
  for (const PlannedStage& stage : pipeline) {
    std::vector<IdealCosts::Cost> costs;
    for (const IdealCosts& kind : stages_.costs()) costs.push_back(kind(stage.from, stage.to));
    const Shares shares = shares_of(stage.devices, costs);
    const NetworkLaw::Place place = law_.place_of(in_use(shares));
    result.period_ns = std::max(result.period_ns, stage_period_ns(in_use(shares)));
    result.latency_ns += stage_latency_ns(in_use(shares)) + (has_hops ? hop_ns_ : 0) +
                         law_.transfer(before, place).latency_ns(bytes_[stage.from]);
    before = place;
  }
  result.latency_ns += law_.transfer(before, law_.entry()).latency_ns(bytes_.back());
  return result;
}

std::optional<PlannedStages> NetworkSearch::within(const PaceLimits& limits) {
  by_latency_ = false;
  counts_latency_ = limits.latency_ns < kNoLimit;
  while (true) {
    fill(limits);
    auto found = best(false);
    if (!found) return std::nullopt;
    const std::size_t before = counted_.size();
    const auto busy = busy_ns(*found);
    for (std::size_t r = 0; r < busy.size(); ++r) {
      if (busy[r] > limits.period_ns) counted_.push_back(r);
    }
    if (counted_.size() == before) return found;
    if (counted_.size() > kMostCounted) throw TooMuchWork();
  }
}

std::optional<PlannedStages> NetworkSearch::shortest(std::int64_t limit_ns) {
  by_latency_ = true;
  counts_latency_ = true;
  counted_.clear();
  fill({kNoLimit, limit_ns});
  return best(true);
}

NetworkSearch::Fastest NetworkSearch::fastest(std::int64_t low_ns, std::int64_t high_ns,
                                              std::int64_t latency_limit_ns) {
  Fastest result{low_ns, std::nullopt};
  const auto probe = [&](std::int64_t period_ns) {
    auto found = within({period_ns, latency_limit_ns});
    if (!found) return false;
    result.pipeline = std::move(*found);
    return true;
  };
  try {
    // The bound is often reached.
    for (std::int64_t middle = low_ns; result.proven_ns < high_ns;
         middle = result.proven_ns + (high_ns - result.proven_ns) / 2) {
      if (probe(middle)) {
        high_ns = std::max(pace(*result.pipeline).period_ns, result.proven_ns);
      } else {
        result.proven_ns = middle + 1;
      }
    }
    settles_ties_ = true;
    work_ = 0;
    probe(high_ns);
  } catch (const TooMuchWork&) {
    // What was found until then is returned.
  }
  return result;
}

}  // namespace segue
