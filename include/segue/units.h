/// Units of bytes, work and time, and their text form.
///
/// KiB and MiB are powers of two everywhere. MiB are printed with two decimals, as in the reports
/// of edgetpu_compiler, so that both can be compared. Times are `std::chrono::nanoseconds`.
///
/// Example:
///
///     const std::string size = segue::format_bytes(8 * segue::kMiB);                // "8.00 MiB"
///     const std::string time = segue::format_time(std::chrono::microseconds(1250)); // "1.25 ms"
///     const double ms = segue::to_ms(segue::Nanoseconds(41'340'000));               // 41.34
///     const std::vector<std::string> known{"resnet50", "resnet101"};
///     const std::string hint = segue::did_you_mean("resnet5", known);
///
/// Thread-safety: all functions are pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace [[gnu::visibility("default")]] segue {

// --- Bytes and work

inline constexpr std::uint64_t kKiB = 1024;
inline constexpr std::uint64_t kMiB = 1024 * kKiB;

/// Converts bytes to MiB.
[[nodiscard]] constexpr double to_mib(std::uint64_t bytes) {
  return static_cast<double>(bytes) / static_cast<double>(kMiB);
}

/// Returns "512 B", "3.25 KiB" or "7.74 MiB": the largest unit in which the number is at least 1.
[[nodiscard]] std::string format_bytes(std::uint64_t bytes);

/// Returns "7.74": MiB with two decimals and without the unit, for table columns.
[[nodiscard]] std::string format_mib(std::uint64_t bytes);

/// Returns "3.86 GMAC", "154.53 MMAC" or "12 MAC": multiply-accumulate operations, by powers of
/// 1000.
[[nodiscard]] std::string format_macs(std::uint64_t macs);

/// Returns a number and its regular English noun: "1 operator", "2 operators", "3 latencies",
/// "4 classes". `noun` is singular.
[[nodiscard]] std::string format_count(std::uint64_t count, std::string_view noun);

// --- Time

using Nanoseconds = std::chrono::nanoseconds;

/// One year: the timeout that means "no limit". A clock's current time plus this value does
/// not overflow.
inline constexpr Nanoseconds kLongestWait = std::chrono::hours(24 * 365);

/// Converts a time to milliseconds.
[[nodiscard]] constexpr double to_ms(Nanoseconds time) {
  return std::chrono::duration<double, std::milli>(time).count();
}
/// Converts a time to seconds.
[[nodiscard]] constexpr double to_s(Nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

/// Returns "41.34": milliseconds with two decimals and without the unit, for table columns.
[[nodiscard]] std::string format_ms(Nanoseconds time);

/// Returns "1.25 s", "41.34 ms", "12.50 us" or "3 ns": the largest unit in which the number is at
/// least 1.
[[nodiscard]] std::string format_time(Nanoseconds time);

// --- Suggestions for misspelled names

/// Returns "; did you mean 'a', 'b'?" with up to three of `known`, the closest first. Returns an
/// empty string when no name is within a Levenshtein distance of max(2, length / 3), or when `name`
/// has more than 256 bytes. O(known * length^2).
[[nodiscard]] std::string did_you_mean(std::string_view name, std::span<const std::string> known);

}  // namespace segue
