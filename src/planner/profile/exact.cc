#include <algorithm>
#include <utility>

#include "planner/profile/choice.h"
#include "segue/stop.h"

namespace segue {
namespace {

// reach[k][i]: the smallest latency of the slowest of k segments that end at unit i.
class ExactSearch {
 public:
  ExactSearch(Profile& profile, std::size_t count, Choice known)
      : profile_(profile),
        count_(count),
        best_(std::move(known)),
        reach_(count, std::vector<Nanoseconds>(profile.size() + 1, kNever)),
        begin_(count, std::vector<std::size_t>(profile.size() + 1)),
        rest_(count + 1, std::vector<Nanoseconds>(profile.size() + 1, kNever)) {}

  [[nodiscard]] Choice run() {
    bound_rest();
    reach_[0][0] = Nanoseconds(0);
    for (std::size_t k = 1; k < count_; ++k) {
      check_stopped();
      for (std::size_t begin = k - 1; begin < profile_.size(); ++begin) extend(k, begin);
    }
    return best_;
  }

 private:
  // Computes lower bounds for `k` segments from each unit to the end. The latency of the last
  // segment is measured; others use the profile's lower bound.
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
      if (least >= best_.slowest) return;  // longer segments take at least as long
      if (std::max(least, rest_[left][end]) >= best_.slowest) continue;
      const Nanoseconds slowest = std::max(reach_[k - 1][begin], profile_.latency(begin, end));
      if (slowest >= reach_[k][end]) continue;
      reach_[k][end] = slowest;
      begin_[k][end] = begin;
      if (left == 1 && std::max(slowest, rest_[1][end]) < best_.slowest) settle(end);
    }
  }

  // Records a better choice, whose last segment begins at `end`.
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
  Choice best_;
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
  // A precision of 1 % suffices, because this choice is only a bound for the exact search.
  const Nanoseconds close = choice_of(profile, even).slowest / 100;
  const Choice known = bisect(profile, even, {1, close});
  const Choice best = count == 1 ? known : ExactSearch(profile, count, known).run();
  return describe(profile, best, before);
}

}  // namespace segue
