// How the checks of this layer report what differs.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>

namespace segue {

// Carries a finding out of the nested checks.
struct Mismatch {
  std::string text;
};

template <typename... Args>
[[noreturn]] void differ(fmt::format_string<Args...> text, Args&&... args) {
  throw Mismatch{fmt::format(text, std::forward<Args>(args)...)};
}

}  // namespace segue
