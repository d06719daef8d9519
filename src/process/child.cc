#include "process/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "segue/error.h"

namespace segue {

void fail_to_make(const char* what) {
  const int reason = errno;
  throw Error(ErrorCode::kIo,
              fmt::format("cannot make {}: {}; {}", what, std::strerror(reason),
                          reason == EMFILE ? "raise the limit of open files (ulimit -n)"
                                           : "end other programs"));
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

int beyond_standard(int number) {
  if (number > STDERR_FILENO) return number;
  const int other = ::fcntl(number, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  if (number >= 0) ::close(number);
  if (other < 0) fail_to_make("a descriptor");
  return other;
}

int open_process(pid_t id) {
  // The C library of Debian 12 declares pidfd_open for C alone.
  const int handle = static_cast<int>(::syscall(SYS_pidfd_open, id, 0));
  if (handle < 0) fail_to_make("a handle of a process (Linux 5.3 or later has them)");
  return beyond_standard(handle);
}

std::string end_text(int wait_status) {
  if (!WIFSIGNALED(wait_status)) return fmt::format("exit status {}", WEXITSTATUS(wait_status));
  const int signal = WTERMSIG(wait_status);
  return fmt::format("signal {} ({})", signal, ::strsignal(signal));
}

void forget_callers_signals() noexcept {
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGCHLD, SIGSEGV, SIGBUS,
                           SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS})
    std::signal(number, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
}

std::optional<int> wait_for_end(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return std::nullopt;
  }
  return status;
}

}  // namespace segue
