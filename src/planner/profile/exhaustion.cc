#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "planner/profile/choice.h"
#include "segue/error.h"

namespace segue {

std::uint64_t count_choices(std::size_t units, std::size_t count) {
  if (count == 0 || units < count) return 0;
  double choices = 1;  // detects overflow of the exact product
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
      } else if (now < best_.slowest) {
        best_ = {ends_, now};
      }
    }
  }

  [[nodiscard]] const Choice& best() const { return best_; }

 private:
  Profile& profile_;
  Ends ends_;
  Choice best_{{}, kNever};
};

}  // namespace

ProfiledSegmentation segment_by_exhaustion(Profile& profile, std::size_t count,
                                           std::uint64_t limit) {
  require_units(profile, count);
  const std::uint64_t choices = count_choices(profile.size(), count);
  if (choices > limit) {
    const bool is_known = choices < std::numeric_limits<std::uint64_t>::max();
    throw Error(ErrorCode::kInfeasible,
                fmt::format("{} choices of {} segments exceed the limit of {}; use the exact "
                            "search, which needs at most {} latencies",
                            is_known ? std::to_string(choices) : "more than 10^15", count, limit,
                            profile.size() * (profile.size() + 1) / 2));
  }
  const std::uint64_t before = profile.measurements();
  Exhaustion search(profile, count);
  search.choose(0, 0, Nanoseconds(0));
  return describe(profile, search.best(), before);
}

}  // namespace segue
