// Limits of a pipeline, and the requirements that follow for a stage.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

namespace segue {

struct PaceLimits {
  static constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::max() / 4;
  std::int64_t period_ns = kNone;   // time between two results
  std::int64_t latency_ns = kNone;  // of one input
};

// Returns the smallest number of replicas with which a stage gives a result within the limit.
[[nodiscard]] inline std::uint32_t replicas_for(std::int64_t time_ns, std::int64_t limit_ns) {
  constexpr std::int64_t kMany = 1'000'000;
  return static_cast<std::uint32_t>(std::min(kMany, time_ns / (limit_ns + 1) + 1));
}

// Returns the longest stage that gives a result within the limit on `count` devices.
[[nodiscard]] inline std::int64_t longest_stage_ns(std::int64_t limit_ns, std::uint32_t count) {
  const std::int64_t end = limit_ns + 1;
  return count == 0 || end < PaceLimits::kNone / count ? end * count - 1 : PaceLimits::kNone;
}

}  // namespace segue
