#include "planner/certificate/wide.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>

#include "device/edgetpu/internal/segment_sum.h"
#include "segue/cost.h"
#include "segue/stop.h"

namespace segue {

namespace {

// Returns the time of one operator on the array, with its share of the instructions that are sent
// before the input.
double computing_ns(const OperatorWork& work, const Timing& timing) {
  return static_cast<double>(work.cycles) / timing.clock_hz.value * 1e9 +
         static_cast<double>(work.instruction_bytes) * timing.instruction_share.value /
             timing.link_bytes_per_s.value * 1e9;
}

}  // namespace

LeastWork least_work(const Graph& graph, std::span<const DevicePool> pools) {
  LeastWork least{std::vector<double>(graph.operator_count(), 1e18),
                  std::vector<double>(graph.operator_count()),
                  std::vector<bool>(graph.operator_count())};
  for (std::size_t op = 0; op < graph.operator_count(); ++op) {
    const OperatorId id = operator_id(op);
    const bool is_supported = is_supported_on_device(graph.model(), id);
    least.may_be_on_host[op] =
        !is_supported || std::ranges::any_of(graph.writers(id), [&](OperatorId writer) {
          return least.may_be_on_host[index(writer)];
        });
    double& work_ns = least.per_operator_ns[op];
    for (const DevicePool& pool : pools) {
      if (pool.device.model != &edgetpu_model()) {
        const auto own_ns = pool.device.model->least_time(graph, id, pool.device).count();
        work_ns = std::min(work_ns, static_cast<double>(own_ns));
        continue;
      }
      const OperatorWork work = operator_work(graph.model(), id, pool.device);
      const auto footprint = parameter_footprint(graph.model(), id, pool.device);
      least.streamed_ns[op] = 0;
      if (!footprint.is_cacheable) {
        least.streamed_ns[op] = static_cast<double>(
            streaming(work, footprint.bytes, work.crossings, pool.device.timing).added_ns);
      }
      if (is_supported) {
        const double compute_ns = computing_ns(work, pool.device.timing);
        work_ns = std::min(work_ns, compute_ns + least.streamed_ns[op]);
      }
      if (least.may_be_on_host[op]) {
        const auto host_ns = host_operator_time(graph, id, pool.device).count();
        work_ns = std::min(work_ns, static_cast<double>(host_ns));
      }
    }
  }
  return least;
}

std::optional<std::vector<OperatorSet>> ideals_between(const Graph& graph, std::size_t first,
                                                       std::size_t last, std::size_t most) {
  OperatorSet begin(graph.operator_count());
  std::fill_n(begin.begin(), first, true);
  std::vector<OperatorSet> ideals{begin};
  std::map<OperatorSet, bool> known{{begin, true}};
  for (std::size_t next = 0; next < ideals.size(); ++next) {
    check_stopped();
    for (std::size_t op = first; op < last; ++op) {
      const auto is_inside = [&](OperatorId id) { return ideals[next][index(id)]; };
      if (ideals[next][op] || !std::ranges::all_of(graph.writers(operator_id(op)), is_inside))
        continue;
      OperatorSet larger = ideals[next];
      larger[op] = true;
      if (known.emplace(larger, true).second) ideals.push_back(std::move(larger));
    }
    if (ideals.size() > most) return std::nullopt;
  }
  return ideals;
}

namespace {

constexpr double kRoundingNs = 4;  // each part of a time is rounded separately

// Returns all k for which every other operator depends on all of the first k operators, 0 and the
// number of operators included.
std::vector<std::size_t> narrow_places(const Graph& graph) {
  const std::size_t count = graph.operator_count();
  std::vector<OperatorSet> before(count, OperatorSet(count));
  std::vector<std::size_t> first_other(
      count + 1,
      count);  // over the operator and all that follow: the first one that it does not depend on
  for (std::size_t op = 0; op < count; ++op) {
    for (const OperatorId id : graph.writers(operator_id(op))) {
      before[op][index(id)] = true;
      for (std::size_t other = 0; other < index(id); ++other) {
        if (before[index(id)][other]) before[op][other] = true;
      }
    }
    first_other[op] =
        static_cast<std::size_t>(std::ranges::find(before[op], false) - before[op].begin());
  }
  std::vector<std::size_t> places;
  for (std::size_t op = count; op-- > 0;)
    first_other[op] = std::min(first_other[op], first_other[op + 1]);
  for (std::size_t size = 0; size <= count; ++size) {
    if (size == 0 || first_other[size] >= size) places.push_back(size);
  }
  return places;
}

class WideCheck {
 public:
  WideCheck(const Graph& graph, const DevicePool& pool, const Bound& bound, std::size_t most_ideals)
      : graph_(graph),
        device_(pool.device),
        compiler_(make_simulated_compiler(pool.device)),
        devices_(bound.devices),
        replicas_(bound.max_replicas == 0 ? devices_ : bound.max_replicas),
        below_ns_(static_cast<double>(bound.value.count())),
        least_(least_work(graph, {&pool, 1})) {
    list(most_ideals);
  }

  [[nodiscard]] WideResult run() {
    const std::size_t full = ideals_.size() - 1;
    if (static_cast<double>(time(0, full).total().count()) < below_ns_) return result(false);
    used_.assign(ideals_.size(), devices_ + 1);
    used_[0] = 0;
    for (std::size_t from = 0; from < full; ++from) {
      check_stopped();
      leave(from);
      for (Gap& gap : gaps_) {
        if (gap.below == from) leave(gap);
      }
    }
    return result(used_[full] > devices_);
  }

 private:
  struct Gap {
    std::size_t below = 0;  // the ideals around the gap
    std::size_t above = 0;
    double fixed_ns = 0;  // of a stage that contains a part of the gap
    std::vector<double>
        reached;  // per number of devices: the largest amount of work done; negative: none
  };

  // Lists all ideals except those of the widest places.
  void list(std::size_t most) {
    const auto places = narrow_places(graph_);
    std::vector<std::optional<std::vector<OperatorSet>>> between;
    std::vector<std::size_t> by_width;
    for (std::size_t i = 0; i + 1 < places.size(); ++i) {
      between.push_back(ideals_between(graph_, places[i], places[i + 1], most));
      by_width.push_back(i);
    }
    const auto width = [&](std::size_t i) { return between[i] ? between[i]->size() : most + 3; };
    std::ranges::stable_sort(by_width, {}, width);
    std::size_t total = 0;
    for (const std::size_t i : by_width) {
      total += width(i) - 1;
      if (width(i) > 2 && total > most) between[i].reset();
    }
    for (std::size_t i = 0; i < between.size(); ++i) {
      if (between[i]) {
        for (std::size_t k = 0; k + 1 < between[i]->size(); ++k) append((*between[i])[k]);
      } else {
        OperatorSet prefix(graph_.operator_count());
        std::fill_n(prefix.begin(), places[i], true);
        append(prefix);
        gaps_.push_back(
            {ideals_.size() - 1, ideals_.size(), 0, std::vector<double>(devices_ + 1, -1.0)});
      }
    }
    append(OperatorSet(graph_.operator_count(), true));
    for (Gap& gap : gaps_) {
      const auto operators = inside(gap.below, gap.above);
      const bool is_certain = std::ranges::none_of(
          operators, [&](OperatorId id) { return least_.may_be_on_host[index(id)]; });
      if (is_certain) gap.fixed_ns = fixed_ns();
    }
  }

  // Fixed time of any stage that has operators on the device.
  [[nodiscard]] double fixed_ns() const {
    return device_.timing.invoke_ns.value * device_.timing.host_slowdown.value +
           computing_ns({.instruction_bytes = kSegmentInstructionBytes}, device_.timing);
  }

  void append(const OperatorSet& ideal) {
    ideals_.push_back(ideal);
    double& work_ns = work_ns_.emplace_back();
    for (std::size_t op = 0; op < ideal.size(); ++op)
      work_ns += ideal[op] ? least_.per_operator_ns[op] : 0;
  }

  [[nodiscard]] WideResult result(bool is_none_below) const {
    return {is_none_below, ideals_.size(), segments_};
  }

  [[nodiscard]] std::vector<OperatorId> inside(std::size_t from, std::size_t to) const {
    std::vector<OperatorId> operators;
    for (std::size_t op = 0; op < ideals_[to].size(); ++op) {
      if (ideals_[to][op] && !ideals_[from][op]) operators.push_back(operator_id(op));
    }
    return operators;
  }

  [[nodiscard]] SegmentTime time(std::size_t from, std::size_t to) {
    ++segments_;
    const auto operators = inside(from, to);
    return simulate_segment(graph_, operators, compiler_->compile(graph_, operators), device_);
  }

  // The part of the time of a stage that begins at an ideal and ends in the gap which does not
  // depend on its end.
  [[nodiscard]] double beginning_ns(std::size_t from, const Gap& gap) {
    if (from == gap.below) return gap.fixed_ns - kRoundingNs;
    const SegmentTime time_to_gap = time(from, gap.below);
    double compute_ns =
        static_cast<double>(time_to_gap.cycles) / device_.timing.clock_hz.value * 1e9;
    const auto operators = inside(from, gap.below);
    const auto on_host = operators_on_host(graph_, operators);
    for (const OperatorId id : operators) {
      if (!std::ranges::binary_search(on_host, id)) compute_ns += least_.streamed_ns[index(id)];
    }
    const Nanoseconds others = time_to_gap.fixed + time_to_gap.input + time_to_gap.host;
    return std::max(gap.fixed_ns, static_cast<double>(others.count()) + compute_ns) - kRoundingNs;
  }

  // The same for a stage that begins in the gap and ends at an ideal. Operators on the host remain
  // there, and outputs are sent.
  [[nodiscard]] double ending_ns(const Gap& gap, std::size_t to) {
    double least_ns = gap.fixed_ns - kRoundingNs;
    if (to == gap.above) return least_ns;
    const auto operators = inside(gap.above, to);
    const auto on_host = operators_on_host(graph_, operators);
    bool is_certain = true;
    for (const OperatorId id : operators) {
      if (std::ranges::binary_search(on_host, id)) {
        least_ns += static_cast<double>(host_operator_time(graph_, id, device_).count());
      } else {
        least_ns += least_.per_operator_ns[index(id)];
        is_certain = is_certain && !least_.may_be_on_host[index(id)];
      }
    }
    if (is_certain) least_ns += static_cast<double>(time(gap.above, to).output.count());
    return least_ns;
  }

  // Returns the smallest number of devices, at least 1, that give results at the required rate.
  [[nodiscard]] std::uint32_t devices_for(double time_ns) const {
    const double count = std::floor(std::max(time_ns, 0.0) / below_ns_) + 1;
    return static_cast<std::uint32_t>(std::min<double>(count, devices_ + 1));
  }

  // Extends pipelines by the stages that begin at an ideal.
  void leave(std::size_t from) {
    if (used_[from] >= devices_) return;
    const std::size_t full = ideals_.size() - 1;
    const double rounding_ns = kRoundingNs * devices_;
    for (std::size_t to = from + 1; to <= full; ++to) {
      const std::uint32_t beyond =
          to == full ? 0 : devices_for(work_ns_[full] - work_ns_[to] - rounding_ns);
      const std::uint32_t here = devices_for(work_ns_[to] - work_ns_[from] - kRoundingNs);
      if (here > replicas_ || used_[from] + here + beyond > devices_ ||
          used_[to] <= used_[from] + 1)
        continue;
      if (!std::ranges::equal(ideals_[from], ideals_[to], std::ranges::less_equal{})) continue;
      const auto total = static_cast<double>(time(from, to).total().count());
      const std::uint32_t devices = devices_for(total);
      if (devices <= replicas_) used_[to] = std::min(used_[to], used_[from] + devices);
    }
    for (Gap& gap : gaps_) {
      if (gap.below >= from) reach(gap, used_[from], beginning_ns(from, gap));
    }
  }

  // A stage that takes `spent_ns` before the work in the gap.
  void reach(Gap& gap, std::uint32_t used, double spent_ns) const {
    for (std::uint32_t r = 1; r <= std::min(replicas_, devices_ - used); ++r) {
      const double work_ns = work_ns_[gap.below] + r * below_ns_ - spent_ns;
      if (work_ns < work_ns_[gap.below]) continue;
      double& reached = gap.reached[used + r];
      reached = std::max(reached, std::min(work_ns, work_ns_[gap.above]));
    }
  }

  // Extends pipelines by the stages that begin in a gap.
  void leave(Gap& gap) {
    for (std::uint32_t used = 1; used < devices_; ++used) {
      const double done_ns = gap.reached[used];
      if (done_ns < 0) continue;
      reach(gap, used, gap.fixed_ns - kRoundingNs - (done_ns - work_ns_[gap.below]));
      const double left_ns = work_ns_[gap.above] - done_ns;
      for (std::size_t to = gap.above; to < ideals_.size(); ++to) {
        const std::uint32_t devices = devices_for(left_ns + ending_ns(gap, to));
        if (devices <= replicas_) used_[to] = std::min(used_[to], used + devices);
      }
      for (Gap& later : gaps_) {
        if (later.below < gap.above) continue;
        reach(later, used,
              left_ns + std::max(gap.fixed_ns, later.fixed_ns) + work_ns_[later.below] -
                  work_ns_[gap.above] - kRoundingNs);
      }
    }
  }

  const Graph& graph_;
  const DeviceSpec& device_;
  std::unique_ptr<Compiler> compiler_;
  std::uint32_t devices_;
  std::uint32_t replicas_;
  double below_ns_;
  LeastWork least_;
  std::vector<OperatorSet> ideals_;
  std::vector<double> work_ns_;  // per ideal
  std::vector<Gap> gaps_;
  std::vector<std::uint32_t>
      used_;  // per ideal: the smallest number of devices of all stages before it
  std::uint64_t segments_ = 0;
};

}  // namespace

WideResult look_below(const Graph& graph, const DevicePool& pool, const Bound& bound,
                      std::size_t most_ideals) {
  constexpr std::size_t kMostOperators = 6000;
  if (graph.operator_count() > kMostOperators) return {};
  return WideCheck(graph, pool, bound, most_ideals).run();
}

}  // namespace segue
