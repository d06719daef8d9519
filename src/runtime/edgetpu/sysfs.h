// Values in sysfs: small files of one line.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

namespace segue {

// Lower values, in thousandths of a degree, are not temperatures: the sensor of a chip that no
// longer answers reads -87.9 C (google-coral/edgetpu #741, #843).
inline constexpr std::int64_t kNoTemperature = -50'000;

// Returns the entries of a folder, sorted by name; empty if the folder does not exist.
[[nodiscard]] inline std::vector<std::filesystem::path> entries(
    const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> paths;
  std::error_code absent;
  for (const auto& entry : std::filesystem::directory_iterator(folder, absent))
    paths.push_back(entry.path());
  std::ranges::sort(paths);
  return paths;
}

// Returns the first line; empty if the file does not exist.
[[nodiscard]] inline std::string first_line(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

[[nodiscard]] inline std::optional<std::int64_t> number_in(const std::filesystem::path& path) {
  const std::string line = first_line(path);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value);
  if (error != std::errc{} || end == line.data()) return std::nullopt;
  return value;
}

}  // namespace segue
