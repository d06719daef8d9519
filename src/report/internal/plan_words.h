// What reports on plans have to say alike.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "segue/plan.h"

namespace segue {

// "41.34 ms (38.10 to 45.20)": a time with its range, in one unit; the time alone without one.
[[nodiscard]] std::string with_range(Nanoseconds time, const std::optional<TimeRange>& range);
// "28.6/s (24.3 to 31.0)".
[[nodiscard]] std::string rate_with_range(const Prediction& predicted);
// " (24.3 to 31.0)", what stands behind a rate; empty without a range.
[[nodiscard]] std::string rate_range_text(const Prediction& predicted);

[[nodiscard]] std::optional<TimeRange> bottleneck_range(const Prediction& predicted);
[[nodiscard]] std::optional<TimeRange> latency_range(const Prediction& predicted);

// A sentence where the ranges of what a plan minimizes and of some of the others overlap; else
// nothing. Others that take the same time are no ranking. `name_of` says which one it is.
[[nodiscard]] std::string overlap_sentence(const Plan& best, const std::vector<const Plan*>& others,
                                           const std::function<std::string(const Plan&)>& name_of);

// Whether the times of all operators that run on the host were measured.
[[nodiscard]] bool is_host_measured(const Plan& plan);

// " on these devices", or " within the limits given" where a bound has limits of its own.
[[nodiscard]] std::string limits_text(const Bound& bound);

// One line when operators of the plan run on the host's processor; else nothing.
[[nodiscard]] std::string host_operators_note(const Plan& plan);

// The stage that gives results the most slowly.
[[nodiscard]] std::size_t slowest_stage(const Plan& plan);

// Which stage that is, what its time goes into, and what to try; or that the host's cores or a
// shared link are slower.
[[nodiscard]] std::string bottleneck_sentence(const Plan& plan, bool shares_link);

// TPUs of each stage, as "2+1+1".
[[nodiscard]] std::string replicas_text(const Plan& plan);

// A share in percent, without the sign: "42".
[[nodiscard]] std::string percent(double share);

// Whether devices of the plan share a link.
[[nodiscard]] bool has_shared_link(const Plan& plan);

// Whether the operators of all stages take the host's cores longer than any stage takes.
[[nodiscard]] bool is_host_bound(const Plan& plan);

}  // namespace segue
