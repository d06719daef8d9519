// Two forms of errors: wrong calls throw; exceptions of backends become text, because the pipeline
// continues after them.
#pragma once

#include <exception>
#include <string>

#include "segue/error.h"

namespace segue::pipeline {

[[noreturn]] inline void refuse(const std::string& reason) {
  throw Error(ErrorCode::kInvalidArgument, reason);
}

// Calls `work` and returns whether it did not throw. Otherwise `reason` is the exception's message.
template <typename Work>
[[nodiscard]] bool succeeds(const Work& work, std::string& reason) {
  try {
    work();
    return true;
  } catch (const std::exception& error) {
    reason = error.what();
  } catch (...) {  // custom backends may throw any type
    reason.clear();
  }
  if (reason.empty()) reason = "failed without a reason";
  return false;
}

}  // namespace segue::pipeline
