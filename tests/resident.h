// The memory of this process.
#pragma once

#include <cstdint>
#include <fstream>
#include <string>

namespace segue::testing {

inline std::uint64_t resident_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::stoull(line.substr(6));
  }
  return 0;
}

}  // namespace segue::testing
