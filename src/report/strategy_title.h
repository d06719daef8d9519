// Strategies as the paper calls them.
#pragma once

#include <string>

namespace segue {

[[nodiscard]] std::string strategy_title(const std::string& strategy);

}  // namespace segue
