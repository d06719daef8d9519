// Texts that several reports on plans share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "segue/plan.h"

namespace segue {

// Returns a time with its range in one unit, for example "41.34 ms (38.10 to 45.20)". Without a
// range, returns the time alone.
[[nodiscard]] std::string with_range(Nanoseconds time, const std::optional<TimeRange>& range);
// For example "28.6/s (24.3 to 31.0)".
[[nodiscard]] std::string rate_with_range(const Prediction& predicted);
// Returns the range of a rate, for example " (24.3 to 31.0)", or an empty text without a range.
[[nodiscard]] std::string rate_range_text(const Prediction& predicted);

[[nodiscard]] std::optional<TimeRange> bottleneck_range(const Prediction& predicted);
[[nodiscard]] std::optional<TimeRange> latency_range(const Prediction& predicted);

// Returns a sentence if the range of the best plan overlaps with that of another plan, or else an
// empty text. Plans with exactly the same time are not counted. `name_of` returns the name of a
// plan.
[[nodiscard]] std::string overlap_sentence(const Plan& best, const std::vector<const Plan*>& others,
                                           const std::function<std::string(const Plan&)>& name_of);

// Whether the times of all operators that run on the host were measured.
[[nodiscard]] bool is_host_measured(const Plan& plan);

// Returns " within the given limits" if the bound has limits, or else " on these devices".
[[nodiscard]] std::string limits_text(const Bound& bound);

// Returns one line if operators of the plan run on the host CPU, or else an empty text.
[[nodiscard]] std::string host_operators_note(const Plan& plan);

// Returns one line if the plan includes decoding, or else an empty text.
[[nodiscard]] std::string decoding_note(const std::optional<Decoding>& decoding);

// Returns the stage on devices with the longest time per input, divided by its replicas.
[[nodiscard]] std::size_t slowest_stage(const Plan& plan);

// Names the slowest stage, the largest part of its time, and a remedy; or says that decoding, the
// host CPU or a shared link is the bottleneck.
[[nodiscard]] std::string bottleneck_sentence(const Plan& plan, bool shares_link);

// Returns the TPUs of each stage, for example "2+1+1".
[[nodiscard]] std::string replicas_text(const Plan& plan);

// Returns a share in percent without the sign, for example "42".
[[nodiscard]] std::string percent(double share);

// Whether devices of the plan share a link.
[[nodiscard]] bool has_shared_link(const Plan& plan);

// Whether decoding on the host limits the throughput.
[[nodiscard]] bool is_decoding_bound(const Plan& plan);

// Whether the operators on the host limit the throughput: together they take longer than any stage.
[[nodiscard]] bool is_host_bound(const Plan& plan);

}  // namespace segue
