// The search of the profiling-based partitioner in google-coral/libcoral.
#include <algorithm>
#include <set>
#include <utility>

#include "planner/profile/choice.h"

namespace segue {
namespace {

class TargetSearch {
 public:
  TargetSearch(Profile& profile, std::size_t count, std::size_t step)
      : profile_(profile), ends_(count), step_(step) {}

  // Returns the ends of segments that all stay within the target; empty if the search finds none.
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

  // Returns the largest end of a segment that starts at `begin` and stays within the target, at
  // most `last`.
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

}  // namespace

Choice bisect(Profile& profile, Ends initial, const BisectionOptions& options) {
  Nanoseconds low = kNever;
  std::size_t begin = 0;
  for (const std::size_t end : initial)
    low = std::min(low, profile.latency(std::exchange(begin, end), end));
  Choice best = choice_of(profile, std::move(initial));
  Nanoseconds high = best.slowest;
  TargetSearch search(profile, best.ends.size(), std::max<std::size_t>(options.search_step, 1));
  while (high - low > std::max(options.difference, Nanoseconds(1))) {
    const Nanoseconds target = low + (high - low) / 2;
    Ends ends = search.within(target);
    if (ends.empty()) {
      low = target;
      continue;
    }
    best = choice_of(profile, std::move(ends));
    high = best.slowest;
  }
  return best;
}

ProfiledSegmentation segment_by_bisection(Profile& profile, std::span<const std::size_t> initial,
                                          const BisectionOptions& options) {
  const std::uint64_t before = profile.measurements();
  require_units(profile, initial.size());
  const Choice best = bisect(profile, {initial.begin(), initial.end()}, options);
  return describe(profile, best, before);
}

std::vector<std::size_t> vendor_ends(const Graph& graph, std::size_t count) {
  std::vector<std::size_t> ends;
  for (const auto& segment : segment_as_vendor(graph, count).segments)
    ends.push_back((ends.empty() ? 0 : ends.back()) + segment.size());
  return ends;
}

}  // namespace segue
