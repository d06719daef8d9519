// Runs a fuzz target. For any bytes, it must return a result or an Error that says what is wrong
// with them. Every other exception, a crash, a hang and an internal error (kInternal) end the run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string_view>
#include <vector>

#include "segue/error.h"

namespace segue::fuzz {

template <typename Use>
void answers(const Use& use) {
  try {
    use();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInternal) return;
    std::fputs(error.what(), stderr);
    std::abort();
  }
}

inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

inline std::vector<std::byte> bytes_of(const std::uint8_t* data, std::size_t size) {
  const auto* first = reinterpret_cast<const std::byte*>(data);
  return {first, first + size};
}

}  // namespace segue::fuzz
