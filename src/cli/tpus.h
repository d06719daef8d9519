// How many TPUs, and what a plan must reach.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "cli/commands.h"

namespace segue::cli {

[[nodiscard]] std::uint32_t parse_tpus(const std::string& text);

// "4" or "1..8", within 1..kMostComparedTpus; nothing where it is neither.
struct TpuRange {
  std::uint32_t first = 0;
  std::uint32_t last = 0;
};
[[nodiscard]] std::optional<TpuRange> parse_range(std::string_view text);

// "30ms", "0.5s", "200us".
[[nodiscard]] Nanoseconds parse_latency(const std::string& text);

// Throws where devices have a number and --tpus another.
void check_counts_once(std::span<const DevicePool> pools, const CutOptions& options);

// Results per second that the plan gives for long. Where devices share a link, the plan only says
// what the link has time for; this is what is left when each takes it as it comes.
[[nodiscard]] double sustained_per_s(const Plan& plan, std::span<const DevicePool> pools);
// One line where those differ; else nothing.
[[nodiscard]] std::string shared_link_note(const Plan& plan, std::span<const DevicePool> pools);

// Throws Error(kInfeasible) where the plan misses --target or --max-latency.
void check_goals(const Plan& plan, const CutOptions& options);

// --tpus auto: the fewest TPUs that reach the goals; without goals, the fewest after which one more
// brings less than --min-gain. Throws Error(kInfeasible) with the nearest miss.
[[nodiscard]] CutResult choose_tpus(const Graph& graph, const CutOptions& options);

}  // namespace segue::cli
