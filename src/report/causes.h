// What the time of a stage goes into, in the order that charts show it.
#pragma once

#include <array>
#include <cstddef>
#include <optional>

#include "segue/timeline.h"

namespace segue {

inline constexpr std::array kCauses{"fixed cost", "input", "computing", "streaming parameters",
                                    "output"};

// Position in kCauses; nothing for what happens on the host.
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
    case Activity::kHop:
      break;
  }
  return std::nullopt;
}

}  // namespace segue
