// Plans of all strategies for several numbers of TPUs.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "segue/device.h"
#include "segue/graph.h"
#include "segue/report.h"

namespace segue::cli {

inline constexpr std::array kComparedStrategies{"compiler", "balanced", "profile", "optimal"};

struct ComparisonOptions {
  std::string tpus = "1..8";
  std::string device;
  std::uint32_t max_replicas = 0;
};
void add_comparison(CLI::App& command, ComparisonOptions& options);

struct Comparison {
  std::vector<ComparedPlan> plans;  // by number of TPUs, then by strategy
  DevicePool pool;
};
// A strategy has no plan for more TPUs than the model has cuts. Throws Error(kInvalidArgument).
[[nodiscard]] Comparison compare_strategies(const Graph& graph, const ComparisonOptions& options);

}  // namespace segue::cli
