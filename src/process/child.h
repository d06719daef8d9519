// What programs and forked children of this process have in common.
#pragma once

#include <poll.h>
#include <sys/types.h>

#include <chrono>
#include <optional>
#include <span>

namespace segue {

// Throws Error(kIo) with the system's reason in errno.
[[noreturn]] void fail_to_make(const char* what);

// Waits until there is something to read; false when the time is up before. Throws Error(kIo) where
// the system does not let it wait.
[[nodiscard]] bool wait_for_input(std::span<pollfd> descriptors,
                                  std::chrono::steady_clock::time_point deadline);

// The status of waitpid once the child has ended; nothing for callers that ignore SIGCHLD, who have
// none to collect.
[[nodiscard]] std::optional<int> wait_for_end(pid_t child);

}  // namespace segue
