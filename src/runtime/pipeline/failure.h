// What is wrong with a call, as an exception; what backends throw, as text: a pipeline goes on
// after it.
#pragma once

#include <exception>
#include <string>

#include "segue/error.h"

namespace segue::pipeline {

[[noreturn]] inline void refuse(const std::string& reason) {
  throw Error(ErrorCode::kInvalidArgument, reason);
}

// Whether `work` did not throw; else `reason` is why.
template <typename Work>
[[nodiscard]] bool succeeds(const Work& work, std::string& reason) {
  try {
    work();
    return true;
  } catch (const std::exception& error) {
    reason = error.what();
  } catch (...) {  // of a backend that is not ours: anything
    reason.clear();
  }
  if (reason.empty()) reason = "failed without a reason";
  return false;
}

}  // namespace segue::pipeline
