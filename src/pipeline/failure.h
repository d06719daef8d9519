// What backends throw, as text: a pipeline goes on after it.
#pragma once

#include <exception>
#include <string>

namespace segue {

// Why `work` failed; empty where it did not.
template <typename Work>
[[nodiscard]] std::string failure_of(const Work& work) {
  try {
    work();
    return {};
  } catch (const std::exception& error) {
    const std::string reason = error.what();
    if (!reason.empty()) return reason;
  } catch (...) {  // of a backend that is not ours: anything
  }
  return "failed without a reason";
}

}  // namespace segue
