#include "cli/tpus.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "segue/error.h"
#include "segue/planner.h"
#include "segue/timeline.h"
#include "segue/units.h"

namespace segue::cli {
namespace {

// Returns the number at the beginning of the text, and the text after it.
std::pair<double, std::string_view> split_number(std::string_view text) {
  double value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return {-1, text};
  return {value, text.substr(static_cast<std::size_t>(end - text.data()))};
}

}  // namespace

std::uint32_t parse_tpus(const std::string& text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc{} && end == text.data() + text.size() && value >= 1 &&
      value <= kMostDevices)
    return value;
  throw Error(
      ErrorCode::kInvalidArgument,
      fmt::format("--tpus '{}': expected a number from 1 to {}, or auto", text, kMostDevices));
}

std::optional<TpuRange> parse_range(std::string_view text) {
  const auto number = [](std::string_view digits) -> std::uint32_t {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return error == std::errc{} && end == digits.data() + digits.size() ? value : 0;
  };
  const std::size_t dots = text.find("..");
  TpuRange range;
  range.first = number(text.substr(0, dots));
  range.last = dots == std::string_view::npos ? range.first : number(text.substr(dots + 2));
  if (range.first == 0 || range.last < range.first || range.last > kMostComparedTpus)
    return std::nullopt;
  return range;
}

double parse_target(const std::string& text) {
  const auto [value, unit] = split_number(text);
  if (value > 0 && value < 1e9 && (unit.empty() || unit == "/s")) return value;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("--target '{}': expected results per second, for example 100/s", text));
}

Nanoseconds parse_latency(const std::string& text, const std::string& option) {
  constexpr double kLongestNs = 1e15;
  const auto [value, unit] = split_number(text);
  const double ns = value * (unit == "s" ? 1e9 : unit == "ms" ? 1e6 : unit == "us" ? 1e3 : -1);
  if (value > 0 && ns > 0 && ns <= kLongestNs) return Nanoseconds(static_cast<std::int64_t>(ns));
  throw Error(
      ErrorCode::kInvalidArgument,
      fmt::format("{} '{}': expected a time above 0 with its unit, for example 30ms or 0.5s",
                  option, text));
}

void check_counts_once(std::span<const DevicePool> pools, const CutOptions& options) {
  const std::uint32_t count = device_count(pools);
  const bool devices_have_it = pools.size() > 1;
  if (!options.tpus.empty() && (devices_have_it || count != parse_tpus(options.tpus))) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("--device '{}' already contains the number of TPUs; remove --tpus",
                            options.device));
  }
}

}  // namespace segue::cli
