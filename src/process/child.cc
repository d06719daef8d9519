#include "process/child.h"

#include <fmt/format.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "segue/error.h"

namespace segue {

void fail_to_make(const char* what) {
  throw Error(ErrorCode::kIo,
              fmt::format("cannot make {}: {}; end other programs", what, std::strerror(errno)));
}

bool wait_for_input(std::span<pollfd> descriptors, std::chrono::steady_clock::time_point deadline) {
  while (true) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now())
            .count();
    if (left <= 0) return false;
    constexpr long kHourMs = 3'600'000;
    const int ready = ::poll(descriptors.data(), descriptors.size(),
                             static_cast<int>(std::min<long>(left, kHourMs)));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) fail_to_make("a wait for a program");
  }
}

std::optional<int> wait_for_end(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return std::nullopt;
  }
  return status;
}

}  // namespace segue
