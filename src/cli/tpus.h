// Numbers in options: TPUs, throughputs and latencies.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "cli/commands.h"

namespace segue::cli {

// The default of --max-tpus.
inline constexpr std::uint32_t kMostAutoTpus = 16;

[[nodiscard]] std::uint32_t parse_tpus(const std::string& text);

// "4" or "1..8", within 1..kMostComparedTpus. Returns an empty optional for anything else.
struct TpuRange {
  std::uint32_t first = 0;
  std::uint32_t last = 0;
};
[[nodiscard]] std::optional<TpuRange> parse_range(std::string_view text);

// Parses for example "100/s" or "100".
[[nodiscard]] double parse_target(const std::string& text);

// Parses for example "30ms", "0.5s" or "200us".
[[nodiscard]] Nanoseconds parse_latency(const std::string& text,
                                        const std::string& option = "--max-latency");

// Throws if the devices and --tpus give different counts.
void check_counts_once(std::span<const DevicePool> pools, const CutOptions& options);

}  // namespace segue::cli
