#include "segue/profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "graph/reads.h"
#include "optimal/ideal_costs.h"
#include "optimal/ideals.h"
#include "segue/compiler.h"
#include "segue/error.h"
#include "segue/simulator.h"

namespace segue {
namespace {

constexpr Nanoseconds kNever = Nanoseconds::max();

// Ends of segments, ascending; the last is the number of units.
using Ends = std::vector<std::size_t>;

using Units = std::vector<std::vector<OperatorId>>;

Units depths_of(const Graph& graph) {
  Units units;
  for (std::uint32_t depth = 1; depth <= graph.depth(); ++depth)
    units.push_back(graph.operators_between(depth, depth));
  return units;
}

std::vector<OperatorId> operators_of(const Units& units, std::size_t begin, std::size_t end) {
  std::vector<OperatorId> result;
  for (std::size_t unit = begin; unit < end; ++unit)
    result.insert(result.end(), units[unit].begin(), units[unit].end());
  std::ranges::sort(result);
  return result;
}

Profile profile_of(const Units& units, const SegmentLatency& measure) {
  return {units, [units, measure](std::size_t begin, std::size_t end) {
            return measure(operators_of(units, begin, end));
          }};
}

// The costs refer to the lattice and the device.
struct DepthCosts {
  DepthCosts(const Graph& graph, DeviceSpec spec)
      : device(std::move(spec)),
        lattice(IdealLattice::along_depths(graph)),
        costs(graph, lattice, device) {}
  DeviceSpec device;
  IdealLattice lattice;
  IdealCosts costs;
};

void require_units(const Profile& profile, std::size_t count) {
  if (count == 0) throw Error(ErrorCode::kInvalidArgument, "0 segments asked for; at least 1");
  if (profile.size() >= count) return;
  throw Error(ErrorCode::kInfeasible,
              fmt::format("{} segments asked for, but there are only {} places to end one", count,
                          profile.size()));
}

Nanoseconds slowest_of(Profile& profile, const Ends& ends) {
  Nanoseconds slowest{0};
  std::size_t begin = 0;
  for (const std::size_t end : ends)
    slowest = std::max(slowest, profile.latency(std::exchange(begin, end), end));
  return slowest;
}

ProfiledSegmentation describe(const Profile& profile, const Ends& ends, Nanoseconds slowest,
                              std::uint64_t measured_before) {
  ProfiledSegmentation result;
  std::size_t begin = 0;
  for (const std::size_t end : ends)
    result.segmentation.segments.push_back(profile.operators(std::exchange(begin, end), end));
  result.slowest = slowest;
  result.measurements = profile.measurements() - measured_before;
  return result;
}

void check_size(const Graph& graph) {
  // Pairs of depths, and what looking at the operators between them takes; some seconds.
  constexpr double kMostWork = 1e11;
  const std::uint64_t reads = reads_of(graph.model());
  const auto depth = static_cast<double>(graph.depth());
  if (depth * depth / 2 * static_cast<double>(reads) <= kMostWork) return;
  throw Error(ErrorCode::kUnsupported,
              fmt::format("{}: {} depths whose operators read {} tensors are too many to look at "
                          "every segment; --strategy balanced takes more",
                          graph.model().name(), graph.depth(), reads));
}

}  // namespace

Profile::Profile(std::vector<std::vector<OperatorId>> units, RunLatency measure,
                 RunLatency at_least)
    : units_(std::move(units)), measure_(std::move(measure)), at_least_(std::move(at_least)) {}

Profile Profile::of_depths(const Graph& graph, const SegmentLatency& measure) {
  check_size(graph);
  return profile_of(depths_of(graph), measure);
}

Profile Profile::of_vendor_order(const Graph& graph, const SegmentLatency& measure) {
  check_size(graph);
  Units units;
  for (const OperatorId id : graph.vendor_order()) units.push_back({id});
  return profile_of(units, measure);
}

Profile Profile::simulated(const Graph& graph, const DeviceSpec& device) {
  check_size(graph);
  const auto costs = std::make_shared<const DepthCosts>(graph, device);
  const Units units = depths_of(graph);
  std::vector<std::int64_t> work_ns(units.size() + 1);
  for (std::size_t depth = 0; depth < units.size(); ++depth) {
    work_ns[depth + 1] = work_ns[depth];
    for (const OperatorId id : units[depth])
      work_ns[depth + 1] += costs->costs.bound(index(id)).work_ns;
  }
  constexpr std::int64_t kRounding = 4;  // each part of a time is rounded on its own
  const std::int64_t fixed_ns = costs->costs.least_fixed_ns() - kRounding;
  return {units,
          [costs](std::size_t begin, std::size_t end) {
            return Nanoseconds(costs->costs(begin, end).time_ns);
          },
          [work_ns, fixed_ns](std::size_t begin, std::size_t end) {
            return Nanoseconds(fixed_ns + work_ns[end] - work_ns[begin]);
          }};
}

std::vector<OperatorId> Profile::operators(std::size_t begin, std::size_t end) const {
  return operators_of(units_, begin, end);
}

Nanoseconds Profile::latency(std::size_t begin, std::size_t end) {
  const std::uint64_t key = std::uint64_t{begin} * (units_.size() + 1) + end;
  const auto known = latencies_.find(key);
  if (known != latencies_.end()) return known->second;
  const Nanoseconds measured = measure_(begin, end);
  latencies_.emplace(key, measured);
  return measured;
}

SegmentLatency simulated_latency(const Graph& graph, const DeviceSpec& device) {
  const std::shared_ptr<const Compiler> compiler = make_simulated_compiler(device);
  return [&graph, device, compiler](std::span<const OperatorId> operators) {
    const MemoryReport report = compiler->compile(graph, operators);
    return simulate_segment(graph, operators, report, device).total();
  };
}

// --- exhaustion

std::uint64_t count_choices(std::size_t units, std::size_t count) {
  if (count == 0 || units < count) return 0;
  double choices = 1;  // to see that a product is too large
  std::uint64_t exact = 1;
  for (std::size_t i = 1; i < count; ++i) {
    choices = choices * static_cast<double>(units - i) / static_cast<double>(i);
    if (choices > 1e15) return std::numeric_limits<std::uint64_t>::max();
    exact = exact * (units - i) / i;
  }
  return exact;
}

namespace {

class Exhaustion {
 public:
  Exhaustion(Profile& profile, std::size_t count) : profile_(profile), ends_(count) {}

  void choose(std::size_t segment, std::size_t begin, Nanoseconds slowest) {
    const std::size_t left = ends_.size() - segment - 1;
    const std::size_t first = left == 0 ? profile_.size() : begin + 1;
    for (std::size_t end = first; end + left <= profile_.size(); ++end) {
      ends_[segment] = end;
      const Nanoseconds now = std::max(slowest, profile_.latency(begin, end));
      if (left > 0) {
        choose(segment + 1, end, now);
      } else if (now < slowest_) {
        slowest_ = now;
        best_ = ends_;
      }
    }
  }

  [[nodiscard]] const Ends& best() const { return best_; }
  [[nodiscard]] Nanoseconds slowest() const { return slowest_; }

 private:
  Profile& profile_;
  Ends ends_;
  Ends best_;
  Nanoseconds slowest_ = kNever;
};

}  // namespace

ProfiledSegmentation segment_by_exhaustion(Profile& profile, std::size_t count,
                                           std::uint64_t limit) {
  require_units(profile, count);
  const std::uint64_t choices = count_choices(profile.size(), count);
  if (choices > limit) {
    const bool is_known = choices < std::numeric_limits<std::uint64_t>::max();
    throw Error(ErrorCode::kInfeasible,
                fmt::format("{} choices of {} segments, more than the limit of {}; the exact "
                            "search needs {} latencies at most",
                            is_known ? std::to_string(choices) : "more than 10^15", count, limit,
                            profile.size() * (profile.size() + 1) / 2));
  }
  const std::uint64_t before = profile.measurements();
  Exhaustion search(profile, count);
  search.choose(0, 0, Nanoseconds(0));
  return describe(profile, search.best(), search.slowest(), before);
}

// --- bisection

namespace {

class TargetSearch {
 public:
  TargetSearch(Profile& profile, std::size_t count, std::size_t step)
      : profile_(profile), ends_(count), step_(step) {}

  // The ends of segments that all stay within the target; empty when the search finds none.
  [[nodiscard]] Ends within(Nanoseconds target) {
    target_ = target;
    failed_.clear();
    return place(0, 0) ? ends_ : Ends{};
  }

 private:
  bool place(std::size_t segment, std::size_t begin) {
    const std::size_t left = ends_.size() - segment - 1;
    if (left == 0) {
      ends_[segment] = profile_.size();
      return profile_.latency(begin, profile_.size()) <= target_;
    }
    if (failed_.contains({segment, begin})) return false;
    for (std::size_t end = furthest(begin, profile_.size() - left); end > begin; end -= step_) {
      ends_[segment] = end;
      if (profile_.latency(begin, end) <= target_ && place(segment + 1, end)) return true;
      if (end <= begin + step_) break;
    }
    failed_.insert({segment, begin});
    return false;
  }

  // The most units from `begin` within the target, none beyond `last`.
  [[nodiscard]] std::size_t furthest(std::size_t begin, std::size_t last) {
    std::size_t fits = begin;
    while (fits < last) {
      const std::size_t middle = fits + (last - fits + 1) / 2;
      if (profile_.latency(begin, middle) <= target_) {
        fits = middle;
      } else {
        last = middle - 1;
      }
    }
    return fits;
  }

  Profile& profile_;
  Ends ends_;
  std::size_t step_;
  Nanoseconds target_{0};
  std::set<std::pair<std::size_t, std::size_t>> failed_;
};

struct Found {
  Ends ends;
  Nanoseconds slowest{0};
};

Found bisect(Profile& profile, Ends initial, const BisectionOptions& options) {
  Nanoseconds low = kNever;
  std::size_t begin = 0;
  for (const std::size_t end : initial)
    low = std::min(low, profile.latency(std::exchange(begin, end), end));
  Found best{std::move(initial), Nanoseconds(0)};
  best.slowest = slowest_of(profile, best.ends);
  Nanoseconds high = best.slowest;
  TargetSearch search(profile, best.ends.size(), std::max<std::size_t>(options.search_step, 1));
  while (high - low > std::max(options.difference, Nanoseconds(1))) {
    const Nanoseconds target = low + (high - low) / 2;
    Ends ends = search.within(target);
    if (ends.empty()) {
      low = target;
      continue;
    }
    best = {std::move(ends), Nanoseconds(0)};
    best.slowest = slowest_of(profile, best.ends);
    high = best.slowest;
  }
  return best;
}

}  // namespace

ProfiledSegmentation segment_by_bisection(Profile& profile, std::span<const std::size_t> initial,
                                          const BisectionOptions& options) {
  const std::uint64_t before = profile.measurements();
  require_units(profile, initial.size());
  const Found best = bisect(profile, {initial.begin(), initial.end()}, options);
  return describe(profile, best.ends, best.slowest, before);
}

std::vector<std::size_t> vendor_ends(const Graph& graph, std::size_t count) {
  std::vector<std::size_t> ends;
  for (const auto& segment : segment_as_vendor(graph, count).segments)
    ends.push_back((ends.empty() ? 0 : ends.back()) + segment.size());
  return ends;
}

// --- exact

namespace {

// reach[k][i]: the smallest latency of the slowest of k segments that end at unit i.
class ExactSearch {
 public:
  ExactSearch(Profile& profile, std::size_t count, Found known)
      : profile_(profile),
        count_(count),
        best_(std::move(known)),
        reach_(count, std::vector<Nanoseconds>(profile.size() + 1, kNever)),
        begin_(count, std::vector<std::size_t>(profile.size() + 1)),
        rest_(count + 1, std::vector<Nanoseconds>(profile.size() + 1, kNever)) {}

  [[nodiscard]] Found run() {
    bound_rest();
    reach_[0][0] = Nanoseconds(0);
    for (std::size_t k = 1; k < count_; ++k) {
      for (std::size_t begin = k - 1; begin < profile_.size(); ++begin) extend(k, begin);
    }
    return best_;
  }

 private:
  // What `k` segments from each unit to the end take at least: known of the last, else by the
  // bound.
  void bound_rest() {
    const std::size_t units = profile_.size();
    rest_[0][units] = Nanoseconds(0);
    for (std::size_t k = 1; k < count_; ++k) {
      for (std::size_t begin = units - k + 1; begin-- > 0;) {
        const std::size_t first = k == 1 ? units : begin + 1;
        for (std::size_t end = first; end <= units; ++end) {
          const Nanoseconds least = profile_.at_least(begin, end);
          if (least >= best_.slowest) break;
          rest_[k][begin] = std::min(rest_[k][begin], std::max(least, rest_[k - 1][end]));
        }
        if (k == 1 && begin + 1 >= count_ && rest_[1][begin] < best_.slowest)
          rest_[1][begin] = profile_.latency(begin, units);
      }
    }
  }

  void extend(std::size_t k, std::size_t begin) {
    const std::size_t left = count_ - k;
    for (std::size_t end = begin + 1; end + left <= profile_.size(); ++end) {
      if (reach_[k - 1][begin] >= best_.slowest) return;
      const Nanoseconds least = profile_.at_least(begin, end);
      if (least >= best_.slowest) return;  // longer segments take at least as much
      if (std::max(least, rest_[left][end]) >= best_.slowest) continue;
      const Nanoseconds slowest = std::max(reach_[k - 1][begin], profile_.latency(begin, end));
      if (slowest >= reach_[k][end]) continue;
      reach_[k][end] = slowest;
      begin_[k][end] = begin;
      if (left == 1 && std::max(slowest, rest_[1][end]) < best_.slowest) settle(end);
    }
  }

  // The last segment begins at `end`.
  void settle(std::size_t end) {
    best_.slowest = std::max(reach_[count_ - 1][end], rest_[1][end]);
    best_.ends.assign(count_, profile_.size());
    for (std::size_t k = count_ - 1; k > 0; --k) {
      best_.ends[k - 1] = end;
      end = begin_[k][end];
    }
  }

  Profile& profile_;
  std::size_t count_;
  Found best_;
  std::vector<std::vector<Nanoseconds>> reach_;
  std::vector<std::vector<std::size_t>> begin_;
  std::vector<std::vector<Nanoseconds>> rest_;
};

}  // namespace

ProfiledSegmentation segment_profiled(Profile& profile, std::size_t count) {
  require_units(profile, count);
  const std::uint64_t before = profile.measurements();
  Ends even;
  for (std::size_t k = 1; k <= count; ++k) even.push_back(profile.size() * k / count);
  // Ends within a hundredth: a choice to compare with, not a result.
  const Nanoseconds close = slowest_of(profile, even) / 100;
  const Found known = bisect(profile, even, {1, close});
  const Found best = count == 1 ? known : ExactSearch(profile, count, known).run();
  return describe(profile, best.ends, best.slowest, before);
}

}  // namespace segue
