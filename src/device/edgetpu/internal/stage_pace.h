// The combined rate of devices that run the same stage. Each takes the next input when it is free,
// so that inputs go to devices in proportion to their speed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

namespace segue {

struct StageShare {
  std::uint32_t devices = 0;  // of one kind
  std::int64_t time_ns = 0;   // of one input on one of them
};

// Returns results per nanosecond.
[[nodiscard]] inline double stage_rate(const StageShare& share) {
  return share.devices / static_cast<double>(std::max<std::int64_t>(share.time_ns, 1));
}

[[nodiscard]] inline double stage_rate(std::span<const StageShare> shares) {
  double rate = 0;
  for (const StageShare& share : shares) rate += stage_rate(share);
  return rate;
}

// Returns the time between two results.
[[nodiscard]] inline std::int64_t stage_period_ns(std::span<const StageShare> shares) {
  const auto is_used = [](const StageShare& share) { return share.devices > 0; };
  if (std::ranges::count_if(shares, is_used) == 1) {
    const StageShare& only = *std::ranges::find_if(shares, is_used);
    return only.time_ns / only.devices;
  }
  // Rounded down as for one kind of device, with a tolerance for the division of doubles.
  constexpr double kLost = 1e-6;
  return static_cast<std::int64_t>(1 / stage_rate(shares) + kLost);
}

// Returns the mean time, per input of the stage, for which the devices of one kind use a resource
// that one of them uses for `use_ns`.
[[nodiscard]] inline std::int64_t stage_busy_ns(std::span<const StageShare> shares,
                                                std::size_t kind, std::int64_t use_ns) {
  const double part = stage_rate(shares[kind]) / stage_rate(shares);
  return static_cast<std::int64_t>(part * static_cast<double>(use_ns));
}

// Returns the latency of one input. Results leave in the order of the inputs, so each waits for the
// slowest device.
[[nodiscard]] inline std::int64_t stage_latency_ns(std::span<const StageShare> shares) {
  std::int64_t slowest = 0;
  for (const StageShare& share : shares) {
    if (share.devices > 0) slowest = std::max(slowest, share.time_ns);
  }
  return slowest;
}

}  // namespace segue
