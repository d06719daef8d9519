// What reports on plans have to say alike.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "segue/plan.h"

namespace segue {

// A strategy as the paper calls it.
[[nodiscard]] std::string strategy_title(const std::string& strategy);

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

// Whether devices of the plan share a link.
[[nodiscard]] bool has_shared_link(const Plan& plan);

// Whether the operators of all stages take the host's cores longer than any stage takes.
[[nodiscard]] bool is_host_bound(const Plan& plan);

}  // namespace segue
