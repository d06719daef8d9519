#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <vector>

#include "device/edgetpu/internal/stage_pace.h"
#include "plan/internal/prediction.h"
#include "planner/certificate/partial.h"
#include "planner/certificate/wide.h"
#include "segue/cost.h"
#include "segue/error.h"
#include "segue/planner.h"
#include "segue/stop.h"

namespace segue {
namespace {

constexpr std::uint64_t kWorkOfTime = 20;  // units of work per operator of a timed segment

// Searches for a pipeline whose objective is below a bound.
class Refutation {
 public:
  Refutation(const Graph& graph, std::span<const DevicePool> pools, const Plan& plan,
             const std::vector<OperatorSet>& ideals, std::uint64_t most_work)
      : graph_(graph),
        pools_(pools),
        boundaries_(graph, pools, plan.network, ideals),
        bound_(*plan.bound),
        by_latency_(plan.objective == Objective::kLatency),
        below_ns_(plan.bound->value.count()),
        hop_ns_(runner_hop(pools).count()),
        ideals_(ideals),
        most_work_(most_work),
        taken_(ideals.size()) {
    for (const DevicePool& pool : pools) compilers_.push_back(make_simulated_compiler(pool.device));
    const std::vector<double> least = least_work(graph, pools).per_operator_ns;
    for (const OperatorSet& ideal : ideals) {
      double& work_ns = work_ns_.emplace_back();
      for (std::size_t op = 0; op < ideal.size(); ++op) work_ns += ideal[op] ? least[op] : 0;
    }
  }

  [[nodiscard]] bool exists() {
    const std::size_t full = ideals_.size() - 1;
    Taken nothing{std::vector<std::uint32_t>(pools_.size()),
                  std::vector<std::int64_t>(pools_.size())};
    boundaries_.begin(nothing);
    for (std::size_t pool = 0; pool < pools_.size(); ++pool) {
      std::vector<StageShare> alone(pools_.size());
      alone[pool] = {1, time(0, full, pool).total().count()};
      Taken taken = nothing;
      taken.latency_ns = alone[pool].time_ns;
      boundaries_.enter(taken, alone, 0);
      boundaries_.end(taken);
      if ((by_latency_ || alone[pool].time_ns < below_ns_) && is_allowed(taken)) return true;
    }
    taken_[0].push_back(std::move(nothing));
    for (std::size_t from = 0; from < full; ++from) {
      check_stopped();
      for (std::size_t to = from + 1; to <= full && !taken_[from].empty(); ++to) {
        if (is_worth_a_look(from, to)) add_stages(from, to);
      }
      taken_[from].clear();
    }
    return !taken_[full].empty();
  }
  [[nodiscard]] std::uint64_t segments() const { return segments_; }

 private:
  void spend(std::uint64_t work) {
    check_stopped();
    work_ += work;
    if (work_ <= most_work_) return;
    throw Error(ErrorCode::kUnsupported,
                fmt::format("{}: the bound of {} ns was not verified: too many candidate pipelines "
                            "to check within minutes",
                            graph_.model().name(), below_ns_));
  }

  [[nodiscard]] bool is_quick(std::int64_t latency_ns) const {
    return !bound_.max_latency || latency_ns <= bound_.max_latency->count();
  }

  // Returns a lower bound of the number of devices that give results at the required rate for this
  // amount of work.
  [[nodiscard]] double devices_for(double work_ns) const {
    // Each part of a time is rounded separately.
    const double rounding_ns = 4.0 * bound_.devices;
    return std::floor(std::max(0.0, work_ns - rounding_ns) / static_cast<double>(below_ns_)) + 1;
  }

  [[nodiscard]] bool is_worth_a_look(std::size_t from, std::size_t to) {
    std::uint32_t left = 0;
    for (const Taken& taken : taken_[from]) left = std::max(left, devices_left(taken));
    const std::size_t full = ideals_.size() - 1;
    const double between_ns = work_ns_[to] - work_ns_[from];
    if (by_latency_) {
      if (work_ns_[full] - 4.0 * bound_.devices >= static_cast<double>(below_ns_)) return false;
    } else {
      const double here = devices_for(between_ns);
      const double beyond = to == full ? 0 : devices_for(work_ns_[full] - work_ns_[to]);
      if (here > most_replicas() || here + beyond > left) return false;
    }
    spend(graph_.operator_count());
    return std::ranges::equal(ideals_[from], ideals_[to], std::ranges::less_equal{});
  }
  [[nodiscard]] std::uint32_t devices_left(const Taken& taken) const {
    std::uint32_t left = bound_.devices;
    for (const std::uint32_t used : taken.devices) left -= std::min(left, used);
    return left;
  }
  [[nodiscard]] std::uint32_t most_replicas() const {
    return bound_.max_replicas == 0 ? bound_.devices : bound_.max_replicas;
  }

  [[nodiscard]] SegmentTime time(std::size_t from, std::size_t to, std::size_t pool) {
    ++segments_;
    spend(kWorkOfTime * graph_.operator_count());
    std::vector<OperatorId> operators;
    for (std::size_t op = 0; op < graph_.operator_count(); ++op) {
      if (ideals_[to][op] && !ideals_[from][op]) operators.push_back(operator_id(op));
    }
    return simulate_segment(graph_, operators, compilers_[pool]->compile(graph_, operators),
                            pools_[pool].device);
  }

  void add_stages(std::size_t from, std::size_t to) {
    std::vector<SegmentTime> times;
    for (std::size_t pool = 0; pool < pools_.size(); ++pool) times.push_back(time(from, to, pool));
    std::vector<StageShare> shares(pools_.size());
    for (std::size_t pool = 0; pool < pools_.size(); ++pool)
      shares[pool].time_ns = times[pool].total().count();
    if (pools_.size() == 1) {
      // More devices than the period requires only leave fewer for other stages.
      const std::int64_t fewest = by_latency_ ? 1 : shares[0].time_ns / below_ns_ + 1;
      if (fewest > most_replicas()) return;
      shares[0].devices = static_cast<std::uint32_t>(fewest);
      return add_stage(from, to, times, shares);
    }
    choose_devices(from, to, times, shares, 0);
  }

  // Tries every number of devices of the pools from `pool` on.
  void choose_devices(std::size_t from, std::size_t to, std::span<const SegmentTime> times,
                      std::vector<StageShare>& shares, std::size_t pool) {
    if (pool == shares.size()) return add_stage(from, to, times, shares);
    const std::uint32_t most = std::min({pools_[pool].count, bound_.devices, most_replicas()});
    for (shares[pool].devices = 0; shares[pool].devices <= most; ++shares[pool].devices)
      choose_devices(from, to, times, shares, pool + 1);
    shares[pool].devices = 0;
  }

  void add_stage(std::size_t from, std::size_t to, std::span<const SegmentTime> times,
                 std::span<const StageShare> shares) {
    std::uint32_t replicas = 0;
    for (const StageShare& share : shares) replicas += share.devices;
    if (replicas == 0 || replicas > most_replicas()) return;
    if (!by_latency_ && stage_period_ns(shares) >= below_ns_) return;
    for (const Taken& before : taken_[from]) {
      Taken taken = before;
      taken.latency_ns += stage_latency_ns(shares) + hop_ns_;
      for (std::size_t pool = 0; pool < shares.size(); ++pool) {
        taken.devices[pool] += shares[pool].devices;
        if (pools_[pool].shares_link && shares[pool].devices > 0)
          taken.link_ns[pool] += stage_busy_ns(shares, pool, times[pool].link().count());
      }
      boundaries_.enter(taken, shares, from);
      if (to + 1 == ideals_.size()) boundaries_.end(taken);
      if (is_allowed(taken)) keep(taken_[to], std::move(taken));
    }
  }

  [[nodiscard]] bool is_allowed(const Taken& taken) const {
    std::uint32_t used = 0;
    for (std::size_t pool = 0; pool < pools_.size(); ++pool) {
      if (taken.devices[pool] > pools_[pool].count) return false;
      if (!by_latency_ && taken.link_ns[pool] >= below_ns_) return false;
      used += taken.devices[pool];
    }
    if (used > bound_.devices) return false;
    const bool is_busy = std::ranges::any_of(
        taken.network_ns, [&](std::int64_t busy_ns) { return busy_ns >= below_ns_; });
    if (is_busy && !by_latency_) return false;
    if (by_latency_) return taken.latency_ns < below_ns_;
    return is_quick(taken.latency_ns);
  }

  void keep(std::vector<Taken>& all, Taken taken) {
    spend(all.size());
    // Without a latency limit, latencies need not be compared.
    if (!by_latency_ && !bound_.max_latency) taken.latency_ns = 0;
    for (const Taken& other : all) {
      if (other.is_no_worse(taken)) return;
    }
    std::erase_if(all, [&](const Taken& other) { return taken.is_no_worse(other); });
    all.push_back(std::move(taken));
  }

  const Graph& graph_;
  std::span<const DevicePool> pools_;
  Boundaries boundaries_;
  const Bound& bound_;
  bool by_latency_;
  std::int64_t below_ns_;
  std::int64_t hop_ns_;
  const std::vector<OperatorSet>& ideals_;
  std::uint64_t most_work_;
  std::vector<std::unique_ptr<Compiler>> compilers_;
  std::vector<double> work_ns_;            // per ideal
  std::vector<std::vector<Taken>> taken_;  // per ideal, without dominated entries
  std::uint64_t segments_ = 0;
  std::uint64_t work_ = 0;
};

void drop_ranges(Plan& plan) {
  plan.predicted.range.reset();
  for (Stage& stage : plan.stages) {
    stage.range.reset();
    for (StageDevices& kind : stage.devices) kind.range.reset();
  }
}

std::string wrong_with_plan(const Plan& plan, const Plan& now) {
  for (std::size_t s = 0; s < plan.stages.size(); ++s) {
    if (plan.stages[s].time.total() != now.stages[s].time.total())
      return fmt::format("stage {} takes {}, but the plan says {}", s,
                         format_time(now.stages[s].time.total()),
                         format_time(plan.stages[s].time.total()));
  }
  if (plan.predicted.bottleneck != now.predicted.bottleneck ||
      plan.predicted.latency != now.predicted.latency)
    return "the predictions of the plan do not match its stages";
  Plan same = now;
  same.custom_strategy = plan.custom_strategy;
  same.model.sha256 = plan.model.sha256;
  same.objective = plan.objective;
  same.bound = plan.bound;
  // Files of earlier versions have no ranges, and neither have devices whose error is unknown.
  Plan given = plan;
  if (!plan.predicted.range) {
    drop_ranges(same);
    drop_ranges(given);
  }
  // Figures of a compiler replace the simulated ones, which the plan keeps separately.
  for (std::size_t s = 0; s < plan.stages.size(); ++s) {
    const auto& compiled = plan.stages[s].compiled;
    Stage& stage = same.stages[s];
    if (!compiled || compiled->simulated_on_chip_bytes != stage.on_chip_bytes ||
        compiled->simulated_host_bytes != stage.host_bytes)
      continue;
    stage.on_chip_bytes = plan.stages[s].on_chip_bytes;
    stage.host_bytes = plan.stages[s].host_bytes;
    stage.compiled = compiled;
  }
  if (to_json(same) != to_json(given))
    return "a number or a name in the plan does not match its stages; recompute the plan with "
           "`segue plan`";
  const Bound& bound = *plan.bound;
  if (std::string broken = broken_limit(plan, bound); !broken.empty()) return broken;
  const Nanoseconds reached = objective_time(plan);
  if (bound.value > reached || bound.is_proven != is_reached(bound, plan))
    return fmt::format("the plan reaches {} ns, but its bound is {} ns and marked as {}proven",
                       reached.count(), bound.value.count(), bound.is_proven ? "" : "not ");
  return "";
}

// Whether the time of the whole model, without avoidable streaming and divided among all devices,
// already reaches the bound. Segments only add fixed times and transfers to it.
bool follows_from_work(const Plan& plan, const Graph& graph, std::span<const DevicePool> pools) {
  // With unequal devices, each may run the operators for which it is the fastest. Another kind of
  // device may not stream what does not fit.
  if (pools.size() > 1 || pools[0].device.model != &edgetpu_model()) return false;
  const auto all = graph.operators_between(1, graph.depth());
  const DeviceSpec& device = pools[0].device;
  MemoryReport memory = make_simulated_compiler(device)->compile(graph, all);
  for (OperatorMemory& op : memory.operators) {
    if (op.residency != Residency::kStreamed) continue;
    op.residency = Residency::kCached;
    memory.host_bytes -= op.bytes;
  }
  const SegmentTime time = simulate_segment(graph, all, memory, device);
  const std::uint32_t devices = plan.objective == Objective::kLatency ? 1 : plan.bound->devices;
  return time.host_operators == 0 && plan.bound->value <= time.total() / devices;
}

// Checks plans of graphs with too many ideals to enumerate.
CertificateVerdict check_wide(const Plan& plan, const Graph& graph,
                              std::span<const DevicePool> pools, const CertificateLimits& limits) {
  CertificateVerdict verdict;
  verdict.is_accepted = follows_from_work(plan, graph, pools);
  verdict.reason =
      "the total work of all operators, divided among all devices, already takes as long as the "
      "bound";
  if (verdict.is_accepted) return verdict;
  const bool is_even = pools.size() == 1 && !pools[0].shares_link && !plan.bound->max_latency &&
                       plan.objective != Objective::kLatency &&
                       pools[0].device.model == &edgetpu_model();
  if (is_even) {
    const WideResult result = look_below(graph, pools[0], *plan.bound, limits.ideals);
    verdict.is_accepted = result.is_none_below;
    verdict.ideals = result.ideals;
    verdict.segments = result.segments;
    verdict.reason = fmt::format(
        "no pipeline takes less than the bound of {} ns, even if transfers were free at "
        "cuts that are too many to enumerate",
        plan.bound->value.count());
  }
  if (verdict.is_accepted) return verdict;
  throw Error(ErrorCode::kUnsupported,
              fmt::format("{}: the proof was not verified: the graph has more than {} ideals, "
                          "which is too many to check",
                          plan.model.name, limits.ideals));
}

// The devices of all nodes as if in one computer, where a link of several nodes is not shared.
std::vector<DevicePool> without_network(std::span<const DevicePool> pools) {
  std::vector<DevicePool> merged;
  for (const DevicePool& pool : pools) {
    const auto same = std::ranges::find_if(
        merged, [&](const DevicePool& other) { return other.device.name == pool.device.name; });
    if (same == merged.end()) {
      merged.push_back(pool);
    } else {
      same->count += pool.count;
      same->shares_link = false;
    }
  }
  return merged;
}

CertificateVerdict search_below(const Plan& plan, const Graph& graph,
                                std::span<const DevicePool> pools,
                                const std::vector<OperatorSet>& ideals,
                                const CertificateLimits& limits) {
  Refutation refutation(graph, pools, plan, ideals, limits.work);
  CertificateVerdict verdict;
  verdict.is_accepted = !refutation.exists();
  verdict.ideals = ideals.size();
  verdict.segments = refutation.segments();
  verdict.reason = fmt::format(
      "{} pipeline takes less than the bound of {} ns{}", verdict.is_accepted ? "no" : "a",
      plan.bound->value.count(),
      plan.bound->is_proven ? "" : ", although the plan itself does not reach the bound");
  return verdict;
}

// Checks that no pipeline within the limits of the bound is below it, for a plan without decoding.
CertificateVerdict check_bound(const Plan& plan, const Graph& graph,
                               std::span<const DevicePool> pools, const CertificateLimits& limits) {
  // A bound that holds even if the network takes no time is quick to check.
  const std::vector<DevicePool> merged =
      plan.network ? without_network(pools) : std::vector<DevicePool>(pools.begin(), pools.end());
  const auto ideals = ideals_between(graph, 0, graph.operator_count(), limits.ideals);
  if (!ideals) return check_wide(plan, graph, merged, limits);
  if (plan.network) {
    Plan free = plan;
    free.network.reset();
    const CertificateVerdict relaxed = search_below(free, graph, merged, *ideals, limits);
    if (relaxed.is_accepted) return relaxed;
  }
  return search_below(plan, graph, pools, *ideals, limits);
}

}  // namespace

CertificateVerdict check_certificate(const Plan& plan, const Graph& graph,
                                     std::span<const DevicePool> pools,
                                     const CertificateLimits& limits) {
  CertificateVerdict verdict;
  const std::uint64_t choices = device_choices(pools);
  if (choices > kMostDeviceChoices) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("{} ways to choose among these unequal devices; the check supports at most {}",
                    choices, kMostDeviceChoices));
  }
  if (!plan.bound) {
    verdict.reason = "the plan has no bound";
    return verdict;
  }
  std::vector<DevicePool> within = with_measured_host(plan, pools);
  if (within.size() == 1) within[0].count = std::max(plan.bound->devices, plan.device_count());
  const auto devices = devices_of(plan, within.size());
  const Segmentation cuts = segmentation_of(plan);
  Plan now = plan.network ? make_plan(graph, cuts, plan.network->topology, plan.strategy, devices)
                          : make_plan(graph, cuts, within, plan.strategy, devices);
  if (plan.decoding) now = with_decoding(std::move(now), plan.decoding->work, within);
  verdict.reason = wrong_with_plan(plan, now);
  if (!verdict.reason.empty()) return verdict;
  Plan of_stages = plan;
  of_stages.bound = bound_without_decoding(plan);
  of_stages.decoding.reset();
  if (!of_stages.bound) {
    verdict.is_accepted = true;
    verdict.reason = fmt::format("decoding on the host alone takes {} ns, no less than the bound",
                                 plan.decoding->time.count());
    return verdict;
  }
  verdict = check_bound(of_stages, graph, within, limits);
  if (of_stages.bound->value != plan.bound->value)
    verdict.reason += fmt::format(", to which decoding adds {} ns", plan.decoding->time.count());
  return verdict;
}

}  // namespace segue
