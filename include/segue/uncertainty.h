/// How sure a predicted time is: a range around it that holds about nine measurements in ten.
///
/// The range is the predicted time, multiplied by a low and a high factor (measured / simulated)
/// of its kind of segment. The factors are the 5 % and 95 % quantiles over measured rows that
/// fitted nothing, widened by 0.02 (src/device/factors.h). Neither the rows nor the procedure
/// assumes a distribution; rows of one network are not independent, so that nine in ten is what
/// the rows show and not a promise. docs/accuracy.md, "How sure", has the factors, the rows behind
/// each, and how many rows of a series lie in the range that the other series give.
///
/// Thread-safety: pure functions.
#pragma once

#include <span>
#include <string_view>

#include "segue/device.h"
#include "segue/graph.h"
#include "segue/simulator.h"
#include "segue/units.h"

namespace [[gnu::visibility("default")]] segue {

/// From the shortest to the longest time that is likely; the predicted one lies within.
struct TimeRange {
  Nanoseconds low{0};
  Nanoseconds high{0};
  friend bool operator==(const TimeRange&, const TimeRange&) = default;
};

/// Whether two ranges have a time in common: a measurement may then reverse the order of what they
/// belong to. Judged on the whole ranges, although two plans of one model on the same devices
/// share a part of their errors: it says so too often, not too rarely.
[[nodiscard]] constexpr bool overlap(const TimeRange& a, const TimeRange& b) {
  return a.low <= b.high && b.low <= a.high;
}

/// What most of a segment's time on the device is.
enum class SegmentKind {
  kStreaming,     // streaming parameters takes over 40 % of its time
  kConvolutions,  // else, over 60 % of its cycles are products of CONV_2D
  kDense,         // else, it has dense layers, and beside them operators element by element only
  kSmall,         // the rest: small, depthwise, many operators
};
/// "streaming", "large convolutions", "dense", "small".
[[nodiscard]] std::string_view to_string(SegmentKind kind);

/// How well the constants of a device describe the host it is used with.
enum class HostKnowledge {
  kMeasured,  // they were measured on this very host (`segue calibrate`)
  kTypical,   // measured on another desktop computer
  kUnknown,   // inferred: Dev Board, Raspberry Pi, USB 2, and where a file makes the host slower
};
/// "measured", "typical", "unknown".
[[nodiscard]] std::string_view to_string(HostKnowledge knowledge);
[[nodiscard]] HostKnowledge host_knowledge(const DeviceSpec& device);

/// measured / simulated: `low` is at most 1, `high` at least 1.
struct ErrorFactors {
  double low = 1;
  double high = 1;
};
[[nodiscard]] ErrorFactors error_factors(SegmentKind kind, HostKnowledge knowledge);
/// The same, and no narrower than what a calibration of this device missed its own check by.
[[nodiscard]] ErrorFactors error_factors(SegmentKind kind, const DeviceSpec& device);

/// Of operators on the host's processor that no one measured: rates are means of kinds of work, and
/// a single operator is off by a factor of three (docs/cost-model.md, "What the host computes").
inline constexpr ErrorFactors kHostOperatorFactors{1.0 / 3, 3.0};

/// The kind of a segment whose time `simulate_segment` gave; `memory` is the report it was given,
/// of which only the operators on the host matter: they do not count. O(operators).
[[nodiscard]] SegmentKind segment_kind(const Graph& graph, std::span<const OperatorId> operators,
                                       const SegmentTime& time, const DeviceSpec& device,
                                       const MemoryReport& memory = {});

/// The range of a segment's total time, alone on an idle host: its part on the device by its kind,
/// operators on the host by kHostOperatorFactors, or, where they were measured on this machine
/// (HostCompute::measured), as the rest of the segment. The high end of an unknown host also has
/// its share of the output as slow as a busy host is (kMostHostStretch). O(operators).
[[nodiscard]] TimeRange time_range(const Graph& graph, std::span<const OperatorId> operators,
                                   const SegmentTime& time, const DeviceSpec& device,
                                   const MemoryReport& memory = {});

/// The host's share of a segment's output, beside the link. O(1).
[[nodiscard]] Nanoseconds host_share_of_output(const SegmentTime& time, const DeviceSpec& device);

}  // namespace segue
