// What programs and forked children of this process have in common.
#pragma once

#include <poll.h>
#include <sys/types.h>

#include <chrono>
#include <optional>
#include <span>
#include <string>

namespace segue {

// Throws Error(kIo) with the system's reason in errno.
[[noreturn]] void fail_to_make(const char* what);

// Waits until there is something to read; false when the time is up before. Throws Error(kIo) where
// the system does not let it wait.
[[nodiscard]] bool wait_for_input(std::span<pollfd> descriptors,
                                  std::chrono::steady_clock::time_point deadline);

// The descriptor itself, or a copy of it beyond the numbers of the standard streams, which a caller
// may have closed. Throws Error(kIo) where the system gives none.
[[nodiscard]] int beyond_standard(int number);

// "signal 6 (Aborted)"; where the signal is 0, "exit status 1".
[[nodiscard]] std::string end_text(int signal, int exit_status);
// The same of what wait_for_end gives.
[[nodiscard]] std::string end_text(std::optional<int> wait_status);

// In a new child: the caller's handlers are not meant for it, and its death leaves no core file.
// Async-signal-safe.
void forget_callers_signals() noexcept;

// The status of waitpid once the child has ended; nothing for callers that ignore SIGCHLD, who have
// none to collect.
[[nodiscard]] std::optional<int> wait_for_end(pid_t child);

}  // namespace segue
