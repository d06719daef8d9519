#include "segue/units.h"

#include <fmt/format.h>

namespace segue {

std::string format_bytes(std::uint64_t bytes) {
  if (bytes < kKiB) return fmt::format("{} B", bytes);
  if (bytes < kMiB)
    return fmt::format("{:.2f} KiB", static_cast<double>(bytes) / static_cast<double>(kKiB));
  return fmt::format("{:.2f} MiB", to_mib(bytes));
}

std::string format_count(std::uint64_t count, std::string_view noun) {
  if (count == 1) return fmt::format("1 {}", noun);
  if (noun.ends_with('s')) return fmt::format("{} {}es", count, noun);
  if (!noun.ends_with('y')) return fmt::format("{} {}s", count, noun);
  noun.remove_suffix(1);
  return fmt::format("{} {}ies", count, noun);
}

std::string format_mib(std::uint64_t bytes) { return fmt::format("{:.2f}", to_mib(bytes)); }

std::string format_ms(Nanoseconds time) { return fmt::format("{:.2f}", to_ms(time)); }

std::string format_time(Nanoseconds time) {
  constexpr Nanoseconds kSecond = std::chrono::seconds(1);
  constexpr Nanoseconds kMillisecond = std::chrono::milliseconds(1);
  constexpr Nanoseconds kMicrosecond = std::chrono::microseconds(1);
  if (time >= kSecond) return fmt::format("{:.2f} s", to_s(time));
  if (time >= kMillisecond) return fmt::format("{:.2f} ms", to_ms(time));
  if (time >= kMicrosecond) return fmt::format("{:.2f} us", to_ms(time) * 1e3);
  return fmt::format("{} ns", time.count());
}

std::string format_macs(std::uint64_t macs) {
  constexpr double kGiga = 1e9;
  constexpr double kMega = 1e6;
  const auto value = static_cast<double>(macs);
  if (value >= kGiga) return fmt::format("{:.2f} GMAC", value / kGiga);
  if (value >= kMega) return fmt::format("{:.2f} MMAC", value / kMega);
  return fmt::format("{} MAC", macs);
}

}  // namespace segue
