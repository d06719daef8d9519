// The JSON form of a stage's times, of ranges and of decoding, which all documents share.
#pragma once

#include <fmt/format.h>

#include "base/internal/json/node.h"
#include "segue/plan.h"

namespace segue {

// Above the simulated time of the slowest device. Sums of values that are read fit in 63 bits.
inline constexpr std::uint64_t kLongestOfStageNs = 100'000'000'000'000;
// A stage that a busy, slow or unknown host serves may take many times as long.
inline constexpr std::uint64_t kLongestRangeOfStageNs = 40 * kLongestOfStageNs;

[[nodiscard]] inline json::Json time_json(const SegmentTime& time) {
  return {{"compute", time.compute.count()},
          {"input", time.input.count()},
          {"output", time.output.count()},
          {"streaming", time.streaming.count()},
          {"fixed", time.fixed.count()},
          {"host", time.host.count()},
          {"total", time.total().count()},
          {"hidden_streaming", time.hidden_streaming.count()},
          {"output_on_link", time.output_on_link.count()}};
}

[[nodiscard]] inline json::Json range_json(const TimeRange& range) {
  return json::Json::array({range.low.count(), range.high.count()});
}

[[nodiscard]] inline json::Json range_json(const RateRange& range) {
  return json::Json::array({json::rounded(range.low), json::rounded(range.high)});
}

// The JSON form of decoding, the last stage of a plan.
[[nodiscard]] json::Json decoding_json(const Decoding& decoding);
[[nodiscard]] Decoding parse_decoding(const json::Node& node);

// Reads the two ends of a range, which must include `within`.
[[nodiscard]] inline TimeRange read_range(const json::Node& node, Nanoseconds within,
                                          std::uint64_t longest_ns) {
  const auto ends = node.elements();
  if (ends.size() != 2) node.fail("must be two numbers: the low and the high end");
  const auto end = [&](std::size_t i) {
    return Nanoseconds(static_cast<std::int64_t>(ends[i].number(longest_ns)));
  };
  const TimeRange range{end(0), end(1)};
  if (range.low > within || range.high < within) {
    node.fail(fmt::format("the range {} to {} must include {}; make a new plan", range.low.count(),
                          range.high.count(), within.count()));
  }
  return range;
}

// Checks the rates of a range, which a document states in addition to the times, rounded.
inline void expect_rates(const json::Node& node, const RateRange& rates) {
  const auto ends = node.elements();
  if (ends.size() != 2 || ends[0].real() != json::rounded(rates.low) ||
      ends[1].real() != json::rounded(rates.high))
    node.fail(fmt::format("must be {} to {}, which follows from bottleneck_range_ns",
                          json::rounded(rates.low), json::rounded(rates.high)));
}

// Returns the keys for the ranges of the time between results, the latency and the throughput.
[[nodiscard]] inline json::Json range_keys_json(const PredictionRange& range) {
  return {{"bottleneck_range_ns", range_json(range.bottleneck)},
          {"latency_range_ns", range_json(range.latency)},
          {"throughput_range_per_s", range_json(range.throughput_per_s())}};
}

}  // namespace segue
