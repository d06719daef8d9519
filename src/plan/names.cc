#include <fmt/format.h>

#include <algorithm>

#include "segue/error.h"
#include "segue/plan.h"

namespace segue {

std::string_view to_string(Strategy strategy) {
  const auto* const row = std::ranges::find(kStrategyNames, strategy, &StrategyName::strategy);
  return row == kStrategyNames.end() ? "custom" : row->key;
}

std::string Plan::strategy_key() const {
  return strategy == Strategy::kCustom ? custom_strategy : std::string(to_string(strategy));
}

std::string Plan::device_text() const { return to_string(devices); }

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
