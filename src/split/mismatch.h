// The exception by which nested checks report a difference.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>

namespace segue {

// Carries a description of the difference to the caller of the checks.
struct Mismatch {
  std::string text;
};

template <typename... Args>
[[noreturn]] void differ(fmt::format_string<Args...> text, Args&&... args) {
  throw Mismatch{fmt::format(text, std::forward<Args>(args)...)};
}

}  // namespace segue
