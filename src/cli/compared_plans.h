// Plans of all strategies for several numbers of TPUs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "segue/device.h"
#include "segue/graph.h"
#include "segue/planner.h"

namespace segue::cli {

struct ComparisonOptions {
  std::string tpus = "1..8";
  std::string device;
  std::uint32_t max_replicas = 0;
  DecodingOptions decoding;
};
void add_comparison(CLI::App& command, ComparisonOptions& options);

struct Comparison {
  std::vector<ComparedPlan> plans;  // by number of TPUs, then by strategy
  DevicePool pool;
};
// Throws Error(kInvalidArgument), and the errors of compare_strategies.
[[nodiscard]] Comparison compare(const Graph& graph, const ComparisonOptions& options);

}  // namespace segue::cli
