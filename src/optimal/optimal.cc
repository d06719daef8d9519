// Dynamic programming over ideals (Tarnawski et al., NeurIPS 2020) inside a bisection on the
// bottleneck (Pinar and Aykanat, JPDC 2004).
#include "segue/optimal.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <tuple>

#include "optimal/ideal_costs.h"
#include "optimal/ideals.h"
#include "segue/error.h"

namespace segue {
namespace {

// Above, pairs of ideals would take hundreds of megabytes. InceptionV4 has 2237.
constexpr std::size_t kMostIdeals = 6000;
constexpr std::int64_t kAnyBottleneck = std::numeric_limits<std::int64_t>::max();
constexpr std::uint32_t kUnreachable = std::numeric_limits<std::uint32_t>::max();

// One stage between two ideals.
struct Step {
  std::size_t from = 0;
  std::size_t to = 0;
  std::uint32_t replicas = 1;
};
using Pipeline = std::vector<Step>;

// All pairs (smaller, larger) of ideals with the time between them, computed when first asked for.
class PairTimes {
 public:
  PairTimes(const IdealLattice& lattice, const IdealCosts& costs)
      : costs_(costs), starts_(lattice.size() + 1) {
    for (std::size_t from = 0; from < lattice.size(); ++from) {
      starts_[from] = to_.size();
      for (std::size_t to = from + 1; to < lattice.size(); ++to) {
        if (lattice.operators_in(to) > lattice.operators_in(from) && lattice.is_subset(from, to))
          to_.push_back(static_cast<std::uint32_t>(to));
      }
    }
    starts_.back() = to_.size();
    times_.assign(to_.size(), -1);
  }

  [[nodiscard]] std::span<const std::uint32_t> larger(std::size_t from) const {
    return std::span(to_).subspan(starts_[from], starts_[from + 1] - starts_[from]);
  }
  // Of the `position`th entry of larger(from).
  [[nodiscard]] std::int64_t time(std::size_t from, std::size_t position) {
    std::int64_t& time = times_[starts_[from] + position];
    if (time < 0) time = costs_(from, to_[starts_[from] + position]).time.count();
    return time;
  }

 private:
  const IdealCosts& costs_;
  std::vector<std::size_t> starts_;
  std::vector<std::uint32_t> to_;
  std::vector<std::int64_t> times_;
};

// The fewest devices among which `time` is split so that each result takes at most `limit`.
std::uint32_t replicas_for(std::int64_t time, std::int64_t limit) {
  return static_cast<std::uint32_t>((time + 1 + limit) / (limit + 1));
}

class Search {
 public:
  Search(const Graph& graph, const DeviceSpec& device, const OptimalOptions& options,
         const IdealLattice& lattice)
      : lattice_(lattice),
        costs_(graph, lattice, device),
        pairs_(lattice, costs_),
        devices_(static_cast<std::uint32_t>(options.devices)),
        max_replicas_(options.max_replicas == 0 ? devices_
                                                : static_cast<std::uint32_t>(options.max_replicas)),
        hop_(runner_hop(device.timing).count()),
        full_(lattice.size() - 1) {}

  // No pipeline on these devices has a smaller bottleneck.
  [[nodiscard]] std::int64_t least_bottleneck() const {
    const std::int64_t shared = costs_.least_sum_ns() / devices_;
    const std::int64_t alone = costs_(0, full_).time.count();
    return std::min(alone, std::max(shared, hop_));
  }

  // No pipeline has a smaller latency.
  [[nodiscard]] std::int64_t least_latency() const { return costs_.least_sum_ns(); }

  // `reachable`: a bottleneck that some pipeline is known to have; the closer, the less work.
  [[nodiscard]] Pipeline best_throughput(std::int64_t reachable) {
    Pipeline best{{0, full_, 1}};
    if (reachable < bottleneck(best)) best = *feasible(reachable);
    std::int64_t high = bottleneck(best);
    std::int64_t low = least_bottleneck();
    while (low < high) {
      const std::int64_t middle = low + (high - low) / 2;
      if (auto found = feasible(middle)) {
        best = std::move(*found);
        high = bottleneck(best);
      } else {
        low = middle + 1;
      }
    }
    if (best.size() == 1 && best[0].replicas == 1) return best;
    (void)feasible(high);  // leaves in fewest_ what settle_ties prunes with
    return settle_ties(high);
  }

  [[nodiscard]] Pipeline best_latency() {
    const Pipeline alone{{0, full_, 1}};
    const Pipeline several = shortest_chain();
    return several.empty() || latency(alone) <= latency(several) ? alone : several;
  }

  [[nodiscard]] std::int64_t bottleneck(const Pipeline& pipeline) const {
    std::int64_t result = hop_of(pipeline) * static_cast<std::int64_t>(pipeline.size());
    for (const Step& step : pipeline)
      result = std::max(result, costs_(step.from, step.to).time.count() / step.replicas);
    return result;
  }

  [[nodiscard]] std::int64_t latency(const Pipeline& pipeline) const {
    std::int64_t result = 0;
    for (const Step& step : pipeline)
      result += costs_(step.from, step.to).time.count() + hop_of(pipeline);
    return result;
  }

 private:
  [[nodiscard]] std::int64_t hop_of(const Pipeline& pipeline) const {
    return pipeline.size() > 1 || pipeline[0].replicas > 1 ? hop_ : 0;
  }

  // The runner bounds the stages: stages * hop <= limit.
  [[nodiscard]] std::uint32_t most_stages(std::int64_t limit) const {
    if (hop_ == 0) return devices_;
    return static_cast<std::uint32_t>(std::min<std::int64_t>(devices_, limit / hop_));
  }

  // A pipeline with a bottleneck of at most `limit`, or nothing. fewest_[k][i]: devices needed for
  // all operators beyond ideal i in at most k stages; one row suffices where the runner bounds
  // nothing, since each stage has a device.
  [[nodiscard]] std::optional<Pipeline> feasible(std::int64_t limit) {
    const std::uint32_t stages = most_stages(limit);
    if (stages == 0) return std::nullopt;
    const bool is_bounded = stages < devices_;
    const std::size_t rows = is_bounded ? stages : 1;
    fewest_.assign(rows + 1, std::vector<std::uint32_t>(lattice_.size(), kUnreachable));
    next_.assign(rows + 1, std::vector<std::uint32_t>(lattice_.size()));
    for (auto& row : fewest_) row[full_] = 0;
    for (std::size_t k = 1; k <= rows; ++k) {
      for (std::size_t from = full_; from-- > 0;) relax(k, is_bounded ? k - 1 : k, from, limit);
    }
    if (fewest_[rows][0] > devices_) return std::nullopt;
    Pipeline result;
    for (std::size_t at = 0, k = rows; at != full_; k = is_bounded ? k - 1 : k) {
      const std::size_t to = next_[k][at];
      result.push_back({at, to, replicas_for(costs_(at, to).time.count(), limit)});
      at = to;
    }
    return result;
  }

  void relax(std::size_t k, std::size_t before, std::size_t from, std::int64_t limit) {
    const std::uint32_t before_it = from == 0 ? 0 : replicas_for(costs_.compute_ns(from), limit);
    if (before_it >= devices_) return;
    std::uint32_t& fewest = fewest_[k][from];
    const auto larger = pairs_.larger(from);
    for (std::size_t p = 0; p < larger.size(); ++p) {
      const std::size_t to = larger[p];
      const std::uint32_t rest = fewest_[before][to];
      if (rest >= devices_) continue;
      const std::uint32_t least = replicas_for(costs_.least_ns(from, to), limit);
      if (least > max_replicas_ || before_it + least + rest > devices_) continue;
      if (rest + least >= fewest) continue;
      const std::uint32_t replicas = replicas_for(pairs_.time(from, p), limit);
      if (replicas > max_replicas_ || rest + replicas >= fewest) continue;
      fewest = rest + replicas;
      next_[k][from] = larger[p];
    }
  }

  // What is left open by the bottleneck: fewer stages, then fewer host bytes.
  struct Rest {
    std::uint32_t stages = kUnreachable;
    std::uint64_t host_bytes = 0;
    friend bool operator==(const Rest&, const Rest&) = default;
    friend bool operator<(const Rest& a, const Rest& b) {
      return std::tie(a.stages, a.host_bytes) < std::tie(b.stages, b.host_bytes);
    }
  };
  [[nodiscard]] static Rest with_stage(const Rest& rest, std::uint64_t host_bytes) {
    return {rest.stages + 1, rest.host_bytes + host_bytes};
  }

  // Among all pipelines of this bottleneck: fewest stages, then fewest host bytes, then the
  // earliest cuts. best[n][i]: beyond ideal i with n devices.
  [[nodiscard]] Pipeline settle_ties(std::int64_t limit) {
    std::vector<std::vector<Rest>> best(devices_ + 1, std::vector<Rest>(lattice_.size()));
    for (auto& row : best) row[full_].stages = 0;
    for (std::size_t from = full_; from-- > 0;) {
      if (from > 0 && replicas_for(costs_.compute_ns(from), limit) >= devices_) continue;
      for_steps(from, limit, [&](const Step& step, std::uint64_t host_bytes) {
        for (std::uint32_t n = step.replicas; n <= devices_; ++n) {
          const Rest& rest = best[n - step.replicas][step.to];
          if (rest.stages != kUnreachable)
            best[n][from] = std::min(best[n][from], with_stage(rest, host_bytes));
        }
      });
    }
    Pipeline result;
    std::uint32_t n = devices_;
    for (std::size_t at = 0; at != full_; at = result.back().to) {
      std::optional<Step> chosen;
      for_steps(at, limit, [&](const Step& step, std::uint64_t host_bytes) {
        if (chosen || step.replicas > n) return;
        const Rest& rest = best[n - step.replicas][step.to];
        if (rest.stages != kUnreachable && with_stage(rest, host_bytes) == best[n][at])
          chosen = step;
      });
      n -= chosen->replicas;
      result.push_back(*chosen);
    }
    return result;
  }

  // Every stage from an ideal that the limit and the devices before and after it allow, the
  // shortest first.
  template <typename Visit>
  void for_steps(std::size_t from, std::int64_t limit, Visit visit) {
    const std::uint32_t before = from == 0 ? 0 : replicas_for(costs_.compute_ns(from), limit);
    const auto larger = pairs_.larger(from);
    for (std::size_t p = 0; p < larger.size(); ++p) {
      const std::uint32_t after = fewest_.back()[larger[p]];
      if (after == kUnreachable || before + after >= devices_) continue;
      const std::uint32_t most = std::min(max_replicas_, devices_ - before - after);
      if (replicas_for(costs_.least_ns(from, larger[p]), limit) > most) continue;
      const std::uint32_t replicas = replicas_for(pairs_.time(from, p), limit);
      if (replicas > most) continue;
      visit(Step{from, larger[p], replicas}, costs_(from, larger[p]).host_bytes);
    }
  }

  // The chain of two or more stages, at most one per device, with the smallest sum of times and
  // hops; fewer stages and earlier cuts among equals. Empty for one device.
  [[nodiscard]] Pipeline shortest_chain() {
    constexpr std::int64_t kFar = std::numeric_limits<std::int64_t>::max() / 2;
    std::vector<std::vector<std::int64_t>> sum(devices_ + 1,
                                               std::vector<std::int64_t>(lattice_.size(), kFar));
    next_.assign(devices_ + 1, std::vector<std::uint32_t>(lattice_.size()));
    for (auto& row : sum) row[full_] = 0;
    for (std::uint32_t k = 1; k <= devices_; ++k) {
      for (std::size_t from = full_; from-- > 0;) {
        const auto larger = pairs_.larger(from);
        for (std::size_t p = 0; p < larger.size(); ++p) {
          if (sum[k - 1][larger[p]] == kFar) continue;
          const std::int64_t total = pairs_.time(from, p) + hop_ + sum[k - 1][larger[p]];
          if (total >= sum[k][from]) continue;
          sum[k][from] = total;
          next_[k][from] = larger[p];
        }
      }
    }
    std::uint32_t k = devices_;
    while (k > 1 && sum[k - 1][0] == sum[k][0]) --k;
    if (k < 2) return {};
    Pipeline result;
    for (std::size_t at = 0; at != full_; at = result.back().to)
      result.push_back({at, next_[k--][at], 1});
    return result;
  }

  const IdealLattice& lattice_;
  IdealCosts costs_;
  PairTimes pairs_;
  std::uint32_t devices_;
  std::uint32_t max_replicas_;
  std::int64_t hop_;
  std::size_t full_;
  std::vector<std::vector<std::uint32_t>> fewest_;
  std::vector<std::vector<std::uint32_t>> next_;
};

// The best bottleneck along two orders, found in little time: where the search over all ideals
// starts.
std::int64_t bottleneck_along_orders(const Graph& graph, const DeviceSpec& device,
                                     const OptimalOptions& options) {
  const IdealLattice orders = IdealLattice::along_orders(graph);
  Search search(graph, device, options, orders);
  return search.bottleneck(search.best_throughput(kAnyBottleneck));
}

}  // namespace

OptimalSegmentation segment_optimal(const Graph& graph, const DeviceSpec& device,
                                    const OptimalOptions& options) {
  if (options.devices == 0)
    throw Error(ErrorCode::kInvalidArgument, "0 devices asked for; at least 1 is needed");
  auto lattice = IdealLattice::all(graph, kMostIdeals);
  const bool is_complete = lattice.has_value();
  if (!is_complete) lattice = IdealLattice::along_orders(graph);
  Search search(graph, device, options, *lattice);
  const bool is_latency = options.objective == Objective::kLatency;
  const std::int64_t reachable =
      is_latency || !is_complete ? kAnyBottleneck : bottleneck_along_orders(graph, device, options);
  const Pipeline best = is_latency ? search.best_latency() : search.best_throughput(reachable);
  OptimalSegmentation result;
  result.ideals = lattice->size();
  for (const Step& step : best) {
    result.segmentation.segments.push_back(lattice->difference(step.from, step.to));
    result.replicas.push_back(step.replicas);
  }
  result.bottleneck = Nanoseconds(search.bottleneck(best));
  result.latency = Nanoseconds(search.latency(best));
  const Nanoseconds reached = is_latency ? result.latency : result.bottleneck;
  result.bound = {reached, true};
  if (!is_complete) {
    const Nanoseconds least(is_latency ? search.least_latency() : search.least_bottleneck());
    result.bound = {least, least == reached};
  }
  return result;
}

}  // namespace segue
