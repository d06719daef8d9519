#include <fmt/format.h>

#include <algorithm>

#include "segue/error.h"
#include "segue/plan.h"

namespace segue {

std::string_view to_string(Strategy strategy) {
  return std::ranges::find(kStrategyNames, strategy, &StrategyName::strategy)->key;
}

std::string_view to_string(Objective objective) {
  return objective == Objective::kLatency ? "latency" : "throughput";
}

Objective parse_objective(std::string_view text) {
  for (const Objective objective : {Objective::kThroughput, Objective::kLatency}) {
    if (to_string(objective) == text) return objective;
  }
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("unknown objective '{}' (expected throughput or latency)", text));
}

}  // namespace segue
