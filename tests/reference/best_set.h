// The best plan of a set by trying every assignment, with a memory law and a latency law of its
// own. It shares with the planner only the optimal plans and cuts of single models.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <optional>
#include <vector>

#include "segue/cost.h"
#include "segue/error.h"
#include "segue/plan_set.h"
#include "segue/planner.h"

namespace segue::testing {

struct SetScore {
  double reach = 0;
  double scale = 0;
  double slack = 0;
};

class BestSet {
 public:
  BestSet(std::vector<const Graph*> graphs, SetRequest request)
      : graphs_(std::move(graphs)), request_(std::move(request)) {
    has_weights_ = std::ranges::any_of(request_.demands,
                                       [](const auto& demand) { return !demand.rate_per_s; });
  }

  [[nodiscard]] SetScore search() {
    std::vector<std::size_t> group(graphs_.size());
    each_division(group, 0, 0);
    return best_;
  }

  std::uint64_t assignments = 0;

 private:
  static constexpr double kInfinite = std::numeric_limits<double>::infinity();

  // One model in one group: its share of each resource for one inference per second.
  struct Use {
    std::vector<double> busy_s;  // of each TPU, by its number in the set
    double link_s = 0;
    double host_s = 0;
  };

  struct Chosen {
    std::vector<Use> uses;                                        // by model
    std::vector<std::function<double(double scale)>> latency_ns;  // by model, at a scale
  };

  void each_division(std::vector<std::size_t>& group, std::size_t model, std::size_t groups) {
    if (model == group.size()) {
      Chosen chosen;
      chosen.uses.resize(group.size());
      chosen.latency_ns.resize(group.size());
      return each_count(group, 0, groups, 0, chosen);
    }
    for (std::size_t g = 0; g <= groups; ++g) {
      group[model] = g;
      each_division(group, model + 1, std::max(groups, g + 1));
    }
  }

  void each_count(const std::vector<std::size_t>& group, std::size_t g, std::size_t groups,
                  std::uint32_t used, const Chosen& chosen) {
    if (g == groups) return score(chosen);
    std::vector<std::size_t> members;
    for (std::size_t m = 0; m < group.size(); ++m)
      if (group[m] == g) members.push_back(m);
    for (std::uint32_t count = 1; used + count <= request_.pool.count; ++count) {
      const auto go_on = [&](const Chosen& next) {
        each_count(group, g + 1, groups, used + count, next);
      };
      members.size() == 1 ? own(members[0], used, count, chosen, go_on)
                          : shared(members, used, count, chosen, go_on);
    }
  }

  template <typename GoOn>
  void own(std::size_t m, std::uint32_t first, std::uint32_t count, Chosen chosen,
           const GoOn& go_on) {
    const DevicePool pool{request_.pool.device, count, request_.pool.shares_link && count > 1};
    OptimalOptions limits{.max_latency = request_.demands[m].max_latency};
    std::optional<Plan> plan;
    try {
      plan = plan_by_strategy(*graphs_[m], std::span(&pool, 1), Strategy::kOptimal, limits).plan;
    } catch (const Error&) {
      limits = {.objective = Objective::kLatency};
      plan = plan_by_strategy(*graphs_[m], std::span(&pool, 1), Strategy::kOptimal, limits).plan;
    }
    Use use{std::vector<double>(request_.pool.count)};
    use.busy_s[first] = to_s(plan->predicted.bottleneck);
    for (const Stage& stage : plan->stages) {
      use.link_s += to_s(stage.time.link());
      use.host_s += to_s(stage.time.host);
    }
    chosen.uses[m] = use;
    const auto latency = static_cast<double>(plan->predicted.latency.count());
    chosen.latency_ns[m] = [latency](double) { return latency; };
    go_on(chosen);
  }

  using Cut = std::vector<std::vector<OperatorId>>;

  std::vector<Cut> cuts(std::size_t m, std::uint32_t tpus) const {
    std::vector<Cut> result;
    for (std::uint32_t stages = 1; stages <= tpus; ++stages) {
      if (tpus % stages != 0) continue;
      const DevicePool pool{request_.pool.device, stages, request_.pool.shares_link && stages > 1};
      for (const Strategy strategy : {Strategy::kOptimal, Strategy::kBalanced}) {
        try {
          const OptimalOptions limits{.max_replicas = strategy == Strategy::kOptimal ? 1U : 0U};
          const auto cut = segmentation_of(
              plan_by_strategy(*graphs_[m], std::span(&pool, 1), strategy, limits).plan);
          if (cut.segments.size() == stages) result.push_back(cut.segments);
        } catch (const Error&) {
          continue;  // the model has fewer depths
        }
      }
    }
    return result;
  }

  template <typename GoOn>
  void shared(std::vector<std::size_t> members, std::uint32_t first, std::uint32_t count,
              const Chosen& chosen, const GoOn& go_on) {
    do {
      std::vector<Cut> picked(members.size());
      std::function<void(std::size_t)> pick = [&](std::size_t i) {
        if (i < members.size()) {
          for (Cut& cut : cuts(members[i], count)) {
            picked[i] = std::move(cut);
            pick(i + 1);
          }
          return;
        }
        for (const bool swapped : {false, true})
          go_on(with_group(members, picked, first, count, swapped, chosen));
      };
      pick(0);
    } while (std::ranges::next_permutation(members).found);
  }

  // The report of a segment on a device whose memory is smaller by what others have.
  MemoryReport in_part(const Graph& graph, const std::vector<OperatorId>& operators,
                       double taken) const {
    DeviceSpec device = request_.pool.device;
    device.memory.capacity_bytes.value -= taken;
    return make_simulated_compiler(device)->compile(graph, operators);
  }

  Chosen with_group(const std::vector<std::size_t>& members, const std::vector<Cut>& picked,
                    std::uint32_t first, std::uint32_t count, bool swapped, Chosen chosen) const {
    const DeviceSpec& device = request_.pool.device;
    std::vector<std::vector<double>> cost_ns(count, std::vector<double>(members.size()));
    for (const std::size_t m : members)
      chosen.uses[m] = {std::vector<double>(request_.pool.count), 0, 0};
    for (std::uint32_t t = 0; t < count; ++t) {
      double least_room = kInfinite;
      for (std::size_t i = 0; i < members.size(); ++i) {
        const auto& stage = picked[i][t % picked[i].size()];
        least_room =
            std::min(least_room,
                     static_cast<double>(in_part(*graphs_[members[i]], stage, 0).capacity_bytes));
      }
      double used = 0;
      for (std::size_t i = 0; i < members.size(); ++i) {
        const Graph& graph = *graphs_[members[i]];
        const auto& stage = picked[i][t % picked[i].size()];
        const auto own_room = static_cast<double>(in_part(graph, stage, 0).capacity_bytes);
        const double taken = swapped ? 0 : own_room - (least_room - used);
        const MemoryReport memory = in_part(graph, stage, taken);
        used += static_cast<double>(memory.on_chip_bytes);
        const SegmentTime time = simulate_segment(graph, stage, memory, device);
        const double reload_ns = swapped ? std::round(static_cast<double>(memory.on_chip_bytes) /
                                                      device.timing.link_bytes_per_s.value * 1e9)
                                         : 0;
        cost_ns[t][i] = static_cast<double>(time.total().count()) + reload_ns;
        const double copies = static_cast<double>(count) / static_cast<double>(picked[i].size());
        Use& use = chosen.uses[members[i]];
        use.busy_s[first + t] = cost_ns[t][i] / 1e9 / copies;
        use.link_s += (to_s(time.link()) + reload_ns / 1e9) / copies;
        use.host_s += to_s(time.host) / copies;
      }
    }
    std::vector<std::size_t> stages;
    for (const Cut& cut : picked) stages.push_back(cut.size());
    for (std::size_t i = 0; i < members.size(); ++i) {
      chosen.latency_ns[members[i]] = [this, members, stages, cost_ns, i](double scale) {
        return latency(members, stages, cost_ns, scale)[i];
      };
    }
    return chosen;
  }

  double rate(std::size_t m, double scale) const {
    const ModelDemand& demand = request_.demands[m];
    return demand.rate_per_s ? *demand.rate_per_s : demand.weight * scale;
  }

  // The law of plan_set.h, by trying every arrival.
  std::vector<double> latency(const std::vector<std::size_t>& members,
                              const std::vector<std::size_t>& stages,
                              const std::vector<std::vector<double>>& cost_ns, double scale) const {
    const std::size_t tpus = cost_ns.size();
    const double hop =
        tpus == 1 ? 0 : static_cast<double>(runner_hop(request_.pool.device.timing).count());
    std::vector<double> sum(members.size());
    std::vector<double> jitter(members.size());
    std::vector<double> worst(members.size());
    for (std::size_t t = 0; t < tpus; ++t) {
      std::vector<double> period(members.size());
      double load = 0;
      for (std::size_t i = 0; i < members.size(); ++i) {
        if (t % stages[i] == 0) sum[i] = jitter[i] = 0;
        period[i] = 1e9 * static_cast<double>(tpus / stages[i]) / rate(members[i], scale);
        load += cost_ns[t][i] / period[i];
      }
      if (load > 0.999) return std::vector<double>(members.size(), kInfinite);
      const auto work_until = [&](double at) {
        double work = 0;
        for (std::size_t i = 0; i < members.size(); ++i)
          work += (std::floor((at + jitter[i]) / period[i]) + 1) * cost_ns[t][i];
        return work;
      };
      double longest = work_until(0);
      for (double now = 0; now < work_until(now);) {
        double next = kInfinite;
        for (std::size_t i = 0; i < members.size(); ++i)
          next = std::min(next,
                          (std::floor((now + jitter[i]) / period[i]) + 1) * period[i] - jitter[i]);
        if (!std::isfinite(next)) break;
        now = next + 0.5;
        longest = std::max(longest, work_until(now) - next);
      }
      longest = std::round(longest);
      for (std::size_t i = 0; i < members.size(); ++i) {
        sum[i] += longest + hop;
        jitter[i] += longest - cost_ns[t][i];
        worst[i] = std::max(worst[i], sum[i]);
      }
    }
    return worst;
  }

  // Rates only: the scale that the TPUs, the link and the host allow, and the share of the demands
  // that is met.
  void score(const Chosen& chosen) {
    ++assignments;
    const double limit = 1 - request_.headroom;
    double scale = kInfinite;
    double slack = kInfinite;
    const auto resource = [&](const auto& of, double capacity) {
      double fixed = 0;
      double scaled = 0;
      for (std::size_t m = 0; m < graphs_.size(); ++m) {
        const ModelDemand& demand = request_.demands[m];
        const bool is_fixed = has_weights_ && demand.rate_per_s;
        (is_fixed ? fixed : scaled) +=
            of(chosen.uses[m]) * demand.rate_per_s.value_or(demand.weight);
      }
      const double most = limit * capacity;
      if (scaled > 0) scale = std::min(scale, std::max(0.0, most - fixed) / scaled);
      if (fixed > 0) slack = std::min(slack, most / fixed);
    };
    for (std::uint32_t t = 0; t < request_.pool.count; ++t)
      resource([&](const Use& use) { return use.busy_s[t]; }, 1);
    if (request_.pool.shares_link) resource([](const Use& use) { return use.link_s; }, 1);
    resource([](const Use& use) { return use.host_s; }, request_.pool.device.host.cores.value);
    if (!has_weights_) slack = scale;
    double reach = std::min(1.0, slack);
    for (std::size_t m = 0; m < graphs_.size(); ++m) {
      const auto& most = request_.demands[m].max_latency;
      if (most)
        reach = std::min(reach, static_cast<double>(most->count()) / chosen.latency_ns[m](1));
    }
    const auto rank = [](const SetScore& one) {
      return std::tuple(one.reach, one.scale, one.slack);
    };
    const SetScore found{reach, scale, slack};
    if (rank(found) > rank(best_)) best_ = found;
  }

  std::vector<const Graph*> graphs_;
  SetRequest request_;
  bool has_weights_ = false;
  SetScore best_;
};

}  // namespace segue::testing
