// The time of a segment from sums over its operators. The single segment and the tables of ranges
// share it, so that both have equal times to the nanosecond.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "device/edgetpu/geometry.h"
#include "device/edgetpu/tiles.h"
#include "segue/cost.h"

namespace segue {

// Limit of each part of a time, 2.8 hours. Sums over a thousand stages, or over the operators of a
// file of 2 GB, then fit in 63 bits for any model and device.
inline constexpr double kLongestNs = 1e13;
[[nodiscard]] inline std::int64_t to_whole_ns(double ns) {
  return std::llround(std::clamp(ns, 0.0, kLongestNs));
}

// Returns the bytes of a tensor on the link: channels are padded to the input lanes.
[[nodiscard]] inline std::uint64_t sent_bytes(const Tensor& tensor, const DeviceSpec& device) {
  if (tensor.shape.empty() || tensor.shape.back() <= 0) return tensor.bytes;
  const auto channels = static_cast<std::uint64_t>(tensor.shape.back());
  return tensor.bytes / channels * round_up(channels, as_integer(device.memory.input_lanes));
}

// Streaming of one operator's parameters. With one crossing, weights arrive while the array
// computes. With several crossings the tiles have no room for that.
struct Streaming {
  std::int64_t added_ns = 0;   // in addition to the operator's computation
  std::int64_t hidden_ns = 0;  // on the link while the array computes

  Streaming& operator+=(const Streaming& other) {
    added_ns += other.added_ns;
    hidden_ns += other.hidden_ns;
    return *this;
  }
  Streaming& operator-=(const Streaming& other) {
    added_ns -= other.added_ns;
    hidden_ns -= other.hidden_ns;
    return *this;
  }
};
[[nodiscard]] inline Streaming streaming(const OperatorWork& work, std::uint64_t bytes,
                                         std::uint32_t crossings, const Timing& timing) {
  const double link_ns = static_cast<double>(bytes) / timing.link_bytes_per_s.value * 1e9;
  if (crossings > 1) return {to_whole_ns(link_ns * crossings), 0};
  const double compute_ns = static_cast<double>(work.cycles) / timing.clock_hz.value * 1e9;
  return {to_whole_ns(std::max(0.0, link_ns - compute_ns)),
          to_whole_ns(std::min(link_ns, compute_ns))};
}

struct SegmentSum {
  static constexpr auto kLongest = static_cast<std::int64_t>(kLongestNs);

  std::uint64_t input_bytes = 0;
  std::uint64_t output_bytes = 0;  // on the link
  std::uint64_t cycles = 0;
  std::uint64_t instruction_bytes = 0;
  std::int64_t streaming_ns = 0;
  std::int64_t hidden_streaming_ns = 0;

  void add(const Streaming& streamed) {
    streaming_ns = std::min(streaming_ns + streamed.added_ns, kLongest);
    hidden_streaming_ns = std::min(hidden_streaming_ns + streamed.hidden_ns, kLongest);
  }

  [[nodiscard]] SegmentTime time(const Timing& timing) const {
    const double slowdown = timing.host_slowdown.value;
    const double link_ns = 1e9 / timing.link_bytes_per_s.value;  // per byte
    const double sent = static_cast<double>(instruction_bytes) * timing.instruction_share.value;
    const auto in = static_cast<double>(input_bytes);
    const auto out = static_cast<double>(output_bytes);
    return {.fixed = Nanoseconds(to_whole_ns(timing.invoke_ns.value * slowdown)),
            .input = Nanoseconds(to_whole_ns((sent + in) * link_ns +
                                             in * timing.input_ns_per_byte.value * slowdown)),
            .compute =
                Nanoseconds(to_whole_ns(static_cast<double>(cycles) / timing.clock_hz.value * 1e9)),
            .streaming = Nanoseconds(std::min(streaming_ns, kLongest)),
            .output = Nanoseconds(
                to_whole_ns(out * (link_ns + timing.output_ns_per_byte.value * slowdown))),
            .hidden_streaming = Nanoseconds(std::min(hidden_streaming_ns, kLongest)),
            .output_on_link = Nanoseconds(to_whole_ns(out * link_ns)),
            .cycles = cycles};
  }
};

// Instructions of a segment in addition to those of its operators, in bytes.
inline constexpr std::uint64_t kSegmentInstructionBytes = 4900;

}  // namespace segue
