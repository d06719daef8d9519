#include "segue/stop.h"

#include <utility>

#include "segue/error.h"

namespace segue {
namespace {

thread_local const std::stop_token* innermost = nullptr;

}  // namespace

StopScope::StopScope(std::stop_token token) : token_(std::move(token)), outer_(innermost) {
  innermost = &token_;
}

StopScope::~StopScope() { innermost = outer_; }

std::stop_token stop_token_of_thread() {
  return innermost == nullptr ? std::stop_token() : *innermost;
}

void check_stopped() {
  if (innermost != nullptr && innermost->stop_requested())
    throw Error(ErrorCode::kStopped, "stopped at the caller's request");
}

}  // namespace segue
