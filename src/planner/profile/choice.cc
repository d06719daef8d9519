#include "planner/profile/choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "segue/error.h"
#include "segue/units.h"

namespace segue {

void require_units(const Profile& profile, std::size_t count) {
  if (count == 0)
    throw Error(ErrorCode::kInvalidArgument, "0 segments requested; at least 1 is needed");
  if (profile.size() >= count) return;
  throw Error(ErrorCode::kInfeasible,
              fmt::format("{} requested, but there are only {} for the end of a segment",
                          format_count(count, "segment"), format_count(profile.size(), "place")));
}

Choice choice_of(Profile& profile, Ends ends) {
  Nanoseconds slowest{0};
  std::size_t begin = 0;
  for (const std::size_t end : ends)
    slowest = std::max(slowest, profile.latency(std::exchange(begin, end), end));
  return {std::move(ends), slowest};
}

ProfiledSegmentation describe(const Profile& profile, const Choice& choice,
                              std::uint64_t measured_before) {
  ProfiledSegmentation result;
  std::size_t begin = 0;
  for (const std::size_t end : choice.ends)
    result.segmentation.segments.push_back(profile.operators(std::exchange(begin, end), end));
  result.slowest = choice.slowest;
  result.measurements = profile.measurements() - measured_before;
  return result;
}

}  // namespace segue
