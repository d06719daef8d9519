// The parts of a stage's time, in the order of the charts.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>

#include "segue/timeline.h"

namespace segue {

inline constexpr std::array kCauses{"fixed cost",           "input",  "computing",
                                    "streaming parameters", "output", "on the host"};
// Their keys in JSON and CSV.
inline constexpr std::array kCauseKeys{"fixed", "input", "compute", "streaming", "output", "host"};

// Returns the position in kCauses of the largest part.
[[nodiscard]] inline std::size_t main_cause(const SegmentTime& time) {
  const std::array parts{time.fixed,     time.input,  time.compute,
                         time.streaming, time.output, time.host};
  return static_cast<std::size_t>(std::ranges::max_element(parts) - parts.begin());
}

// Returns a position in kCauses, or an empty optional for a hop.
[[nodiscard]] inline std::optional<std::size_t> cause_of(Activity activity) {
  switch (activity) {
    case Activity::kRequest:
      return 0;
    case Activity::kInput:
      return 1;
    case Activity::kCompute:
      return 2;
    case Activity::kStreaming:
      return 3;
    case Activity::kOutput:
    case Activity::kRelayout:
      return 4;
    case Activity::kHostWork:
      return 5;
    case Activity::kHop:
      break;
  }
  return std::nullopt;
}

}  // namespace segue
