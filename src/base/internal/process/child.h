// Functions that child programs and forked children share.
#pragma once

#include <poll.h>
#include <sys/types.h>

#include <chrono>
#include <optional>
#include <span>
#include <string>

namespace segue {

// Throws Error(kIo) that names `what` and the reason in errno.
[[noreturn]] void fail_to_make(const char* what);

// Waits for input. Returns false when the deadline passes first. Throws Error(kIo) when the system
// cannot wait.
[[nodiscard]] bool wait_for_input(std::span<pollfd> descriptors,
                                  std::chrono::steady_clock::time_point deadline);

// Returns the descriptor, or a copy with a number above those of the standard streams, which a
// caller may have closed. Throws Error(kIo) when there is no free descriptor.
[[nodiscard]] int beyond_standard(int number);

// Returns "signal 6 (Aborted)", or "exit status 1" if the signal is 0.
[[nodiscard]] std::string end_text(int signal, int exit_status);
// The same for a result of wait_for_end.
[[nodiscard]] std::string end_text(std::optional<int> wait_status);

// Call it in a new child: it resets the caller's signal handlers and disables core files.
// Async-signal-safe.
void forget_callers_signals() noexcept;

// Waits until the child has ended and returns its status. Returns nothing if the caller ignores
// SIGCHLD, because the system then discards the status.
[[nodiscard]] std::optional<int> wait_for_end(pid_t child);

}  // namespace segue
