#include "base/internal/process/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
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
              fmt::format("cannot create {}: {}; {}", what, std::strerror(reason),
                          reason == EMFILE ? "raise the limit of open files (ulimit -n)"
                                           : "stop other programs"));
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

std::string end_text(int signal, int exit_status) {
  if (signal == 0) return fmt::format("exit status {}", exit_status);
  return fmt::format("signal {} ({})", signal, ::strsignal(signal));
}

std::string end_text(std::optional<int> wait_status) {
  if (!wait_status) return "unknown status";
  return end_text(WIFSIGNALED(*wait_status) ? WTERMSIG(*wait_status) : 0,
                  WEXITSTATUS(*wait_status));
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
