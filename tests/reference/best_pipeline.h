// Finds the best pipeline by trying all: every chain of sets closed under "depends on" and every
// choice of devices for each stage. It shares no code with the planner except the times of single
// segments.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "reference/ideals.h"
#include "segue/cost.h"
#include "segue/device.h"
#include "segue/graph.h"

namespace segue::testing {

class BestPipeline {
 public:
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

  BestPipeline(const Graph& graph, std::span<const DevicePool> pools, std::uint32_t max_replicas)
      : graph_(graph), pools_(pools), full_((1U << graph.operator_count()) - 1) {
    for (const DevicePool& pool : pools) {
      compilers_.push_back(make_simulated_compiler(pool.device));
      left_.push_back(pool.count);
      devices_ += pool.count;
      const auto& timing = pool.device.timing;
      hop_ = std::max<std::int64_t>(hop_,
                                    std::llround(timing.hop_ns.value * timing.host_slowdown.value));
    }
    max_replicas_ = max_replicas == 0 ? devices_ : max_replicas;
    ideals_ = ideals_of(graph);
  }

  // Returns the smallest time between two results, or kNever if no pipeline has at most this
  // latency.
  [[nodiscard]] std::int64_t bottleneck(std::int64_t max_latency = kNever) {
    max_latency_ = max_latency;
    by_latency_ = false;
    return search();
  }
  [[nodiscard]] std::int64_t latency() {
    max_latency_ = kNever;
    by_latency_ = true;
    return search();
  }
  [[nodiscard]] std::size_t ideals() const { return ideals_.size(); }

 private:
  struct Time {
    std::int64_t total = 0;
    std::int64_t link = 0;
  };
  struct State {
    unsigned done = 0;
    std::int64_t stages = 0;
    std::int64_t slowest = 0;
    std::int64_t latency = 0;
    std::uint32_t used = 0;
    std::vector<std::int64_t> links;
  };

  Time time(unsigned operators, std::size_t pool) {
    const auto [entry, is_new] = times_.try_emplace({operators, pool});
    if (!is_new) return entry->second;
    std::vector<OperatorId> ids;
    for (std::size_t op = 0; op < graph_.operator_count(); ++op) {
      if (operators >> op & 1U) ids.push_back(operator_id(op));
    }
    const SegmentTime of =
        simulate_segment(graph_, ids, compilers_[pool]->compile(graph_, ids), pools_[pool].device);
    entry->second = {of.total().count(), of.link().count()};
    return entry->second;
  }

  std::int64_t search() {
    best_ = kNever;
    for (std::size_t pool = 0; pool < pools_.size(); ++pool) {
      const std::int64_t alone = time(full_, pool).total;
      if (alone <= max_latency_) best_ = std::min(best_, alone);
    }
    State start;
    start.links.resize(pools_.size());
    extend(start);
    return best_;
  }

  void extend(const State& state) {
    if (state.latency > max_latency_) return;
    const std::int64_t pace = std::max(state.slowest, *std::ranges::max_element(state.links));
    const std::int64_t value = by_latency_ ? state.latency : pace;
    if (value >= best_) return;
    if (state.done == full_) {
      if (state.stages > 1 || state.used > 1) best_ = value;
      return;
    }
    for (const unsigned to : ideals_) {
      if (to == state.done || (state.done & ~to) != 0) continue;
      std::vector<std::uint32_t> chosen(pools_.size());
      choose(state, to, chosen, 0);
    }
  }

  // Tries every number of devices from each pool, beginning with `pool`.
  void choose(const State& state, unsigned to, std::vector<std::uint32_t>& chosen,
              std::size_t pool) {
    if (pool == pools_.size()) {
      run(state, to, chosen);
      return;
    }
    for (std::uint32_t n = 0; n <= left_[pool]; ++n) {
      chosen[pool] = n;
      choose(state, to, chosen, pool + 1);
    }
    chosen[pool] = 0;
  }

  void run(const State& state, unsigned to, const std::vector<std::uint32_t>& chosen) {
    std::uint32_t count = 0;
    std::size_t kinds = 0;
    double rate = 0;
    State next = state;
    std::int64_t slowest = 0;
    std::int64_t period = 0;
    for (std::size_t pool = 0; pool < pools_.size(); ++pool) {
      if (chosen[pool] == 0) continue;
      const std::int64_t total = time(to & ~state.done, pool).total;
      ++kinds;
      count += chosen[pool];
      rate += chosen[pool] / static_cast<double>(std::max<std::int64_t>(total, 1));
      slowest = std::max(slowest, total);
      period = total / chosen[pool];
    }
    if (count == 0 || count > max_replicas_) return;
    if (kinds > 1) period = static_cast<std::int64_t>(1 / rate);
    for (std::size_t pool = 0; pool < pools_.size(); ++pool) {
      if (chosen[pool] == 0 || !pools_[pool].shares_link) continue;
      const Time of = time(to & ~state.done, pool);
      const double share =
          chosen[pool] / static_cast<double>(std::max<std::int64_t>(of.total, 1)) / rate;
      next.links[pool] += static_cast<std::int64_t>(share * static_cast<double>(of.link));
    }
    next.done = to;
    ++next.stages;
    next.used += count;
    next.slowest = std::max(next.slowest, period);
    next.latency += slowest + hop_;
    for (std::size_t pool = 0; pool < pools_.size(); ++pool) left_[pool] -= chosen[pool];
    extend(next);
    for (std::size_t pool = 0; pool < pools_.size(); ++pool) left_[pool] += chosen[pool];
  }

  const Graph& graph_;
  std::span<const DevicePool> pools_;
  std::vector<std::unique_ptr<Compiler>> compilers_;
  unsigned full_;
  std::int64_t hop_ = 0;
  std::uint32_t devices_ = 0;
  std::uint32_t max_replicas_ = 0;
  std::vector<unsigned> ideals_;
  std::vector<std::uint32_t> left_;
  std::map<std::pair<unsigned, std::size_t>, Time> times_;
  std::int64_t max_latency_ = kNever;
  bool by_latency_ = false;
  std::int64_t best_ = kNever;
};

}  // namespace segue::testing
