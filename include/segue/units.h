/// Numbers with units and names, as text.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace [[gnu::visibility("default")]] segue {

/// Units of bytes, work and time and their text form, in one place.
///
/// KiB and MiB are powers of two everywhere. The Edge TPU compiler's reports print MiB with two
/// decimals, and so do we, so that the two can be laid side by side.

inline constexpr std::uint64_t kKiB = 1024;
inline constexpr std::uint64_t kMiB = 1024 * kKiB;

/// Returns `bytes` in MiB.
[[nodiscard]] constexpr double to_mib(std::uint64_t bytes) {
  return static_cast<double>(bytes) / static_cast<double>(kMiB);
}

/// Returns "512 B", "3.25 KiB" or "7.74 MiB": the largest unit that keeps the number at least 1.
[[nodiscard]] std::string format_bytes(std::uint64_t bytes);

/// Returns "7.74": MiB with two decimals and no unit, for table columns.
[[nodiscard]] std::string format_mib(std::uint64_t bytes);

/// Returns "3.86 GMAC", "154.53 MMAC" or "12 MAC".
[[nodiscard]] std::string format_macs(std::uint64_t macs);

/// Returns "1 operator", "2 operators", "3 latencies", "4 classes": a number and the regular
/// English noun that it counts.
[[nodiscard]] std::string format_count(std::uint64_t count, std::string_view noun);

using Nanoseconds = std::chrono::nanoseconds;

/// Far enough to be forever, near enough for a clock to be added without overflow.
inline constexpr Nanoseconds kLongestWait = std::chrono::hours(24 * 365);

[[nodiscard]] constexpr double to_ms(Nanoseconds time) {
  return std::chrono::duration<double, std::milli>(time).count();
}
[[nodiscard]] constexpr double to_s(Nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

/// Returns "41.34": milliseconds with two decimals and no unit, for table columns.
[[nodiscard]] std::string format_ms(Nanoseconds time);

/// Returns "1.25 s", "41.34 ms", "12.50 us" or "3 ns": the largest unit that keeps the number at
/// least 1.
[[nodiscard]] std::string format_time(Nanoseconds time);

/// Suggestions for misspelled names.

/// Returns "; did you mean 'a', 'b'?" with up to three of `known` that are closest to `name` in
/// edit distance, or an empty string when none is close. O(known * length^2).
[[nodiscard]] std::string did_you_mean(std::string_view name, std::span<const std::string> known);

}  // namespace segue
