// How many TPUs, and what a plan must reach.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "cli/commands.h"

namespace segue::cli {

[[nodiscard]] std::uint32_t parse_tpus(const std::string& text);

// "30ms", "0.5s", "200us".
[[nodiscard]] Nanoseconds parse_latency(const std::string& text);

// Throws where devices have a number and --tpus another, or neither has.
void check_counts_once(std::span<const DevicePool> pools, const CutOptions& options);

// Throws Error(kInfeasible) where the plan misses --target or --max-latency.
void check_goals(const Plan& plan, const CutOptions& options);

// --tpus auto: the fewest TPUs that reach the goals; without goals, the fewest after which one more
// brings less than --min-gain. Throws Error(kInfeasible) with the nearest miss.
[[nodiscard]] CutResult choose_tpus(const Graph& graph, const CutOptions& options);

}  // namespace segue::cli
