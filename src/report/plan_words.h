// What reports on plans have to say alike.
#pragma once

#include <string>

#include "segue/plan.h"

namespace segue {

// A strategy as the paper calls it.
[[nodiscard]] std::string strategy_title(const std::string& strategy);

// One line when operators of the plan run on the host's processor; else nothing.
[[nodiscard]] std::string host_operators_note(const Plan& plan);

}  // namespace segue
