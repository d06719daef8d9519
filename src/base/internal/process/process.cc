#include "base/internal/process/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "base/internal/file/descriptor.h"
#include "base/internal/process/child.h"
#include "segue/error.h"

namespace segue {
namespace {

using Clock = std::chrono::steady_clock;

// The output of a program, of limited size: a program that prints without end must not use up all
// memory.
class Transcript {
 public:
  void add(const char* text, std::size_t size) {
    const std::size_t to_head = std::min(size, kHalf - std::min(kHalf, head_.size()));
    head_.append(text, to_head);
    tail_.append(text + to_head, size - to_head);
    if (tail_.size() <= 2 * kHalf) return;
    left_out_ += tail_.size() - kHalf;
    tail_.erase(0, tail_.size() - kHalf);
  }
  [[nodiscard]] std::string text() const {
    if (left_out_ == 0) return head_ + tail_;
    return head_ + fmt::format("\n[{} bytes left out]\n", left_out_) + tail_;
  }

 private:
  static constexpr std::size_t kHalf = std::size_t{1} << 20U;
  std::string head_;
  std::string tail_;
  std::size_t left_out_ = 0;
};

// Data for the child, prepared before the fork, because the child of a multi-threaded program must
// not allocate.
struct Start {
  std::vector<char*> arguments;
  const char* folder = nullptr;
  pid_t parent = 0;
  int null = -1;
  int output = -1;
  int failure = -1;  // receives the reason if the program could not be started
};

[[noreturn]] void be_program(const Start& start) {
  const auto give_up = [&] {
    const int reason = errno;
    const ssize_t told = ::write(start.failure, &reason, sizeof reason);
    static_cast<void>(told);  // the waiting parent also sees the end of the pipe
    ::_exit(127);
  };
  forget_callers_signals();
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != start.parent) ::_exit(127);
  if (::chdir(start.folder) != 0) give_up();
  if (::dup2(start.null, STDIN_FILENO) < 0 || ::dup2(start.output, STDOUT_FILENO) < 0 ||
      ::dup2(start.output, STDERR_FILENO) < 0)
    give_up();
  ::execvp(start.arguments[0], start.arguments.data());
  give_up();
  std::abort();
}

// Running programs, for signal handlers. Programs beyond the size of the table are not killed.
std::array<std::atomic<pid_t>, 256> running{};
static_assert(std::atomic<pid_t>::is_always_lock_free);

std::atomic<pid_t>* find_place(pid_t id) {
  for (std::atomic<pid_t>& place : running) {
    pid_t expected = 0;
    if (place.compare_exchange_strong(expected, id)) return &place;
  }
  return nullptr;
}

// Throws if SIGCHLD is ignored, because the exit status would be lost and a failure would look like
// success.
void require_child_status() {
  struct sigaction action {};
  ::sigaction(SIGCHLD, nullptr, &action);
  if (action.sa_handler != SIG_IGN && (action.sa_flags & SA_NOCLDWAIT) == 0) return;
  throw Error(ErrorCode::kIo,
              "this process ignores SIGCHLD, so the exit status of programs is lost; set its "
              "action to SIG_DFL");
}

// Kills the program and its child processes when the scope is left, also by an exception.
class Program {
 public:
  explicit Program(pid_t id) : id_(id), place_(find_place(id)) {}
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program() {
    kill();
    (void)wait();
  }
  void kill() const {
    if (id_ <= 0) return;
    ::kill(-id_, SIGKILL);
    ::kill(id_, SIGKILL);  // in case it has not yet created its process group
  }
  // Waits and returns the status of waitpid.
  int wait() {
    if (place_ != nullptr) *std::exchange(place_, nullptr) = 0;
    const pid_t id = std::exchange(id_, 0);
    return id > 0 ? wait_for_end(id).value_or(0) : 0;
  }

 private:
  pid_t id_;
  std::atomic<pid_t>* place_;
};

// Waits until the program has started, which closes the pipe, or could not be started. Returns the
// reason in the second case. It waits only until the deadline, because other children of this
// process may hold the pipe open.
std::optional<int> failure_to_start(int pipe, Clock::time_point deadline) {
  pollfd event{pipe, POLLIN, 0};
  int reason = 0;
  ssize_t got = 0;
  do {
    if (!wait_for_input({&event, 1}, deadline)) return std::nullopt;
    got = ::read(pipe, &reason, sizeof reason);
  } while (got < 0 && errno == EINTR);
  return got == sizeof reason ? std::optional(reason) : std::nullopt;
}

// Reads until the program has ended and its output has been read. Programs that it started may keep
// the output open and are not waited for. Returns false when the time is up.
bool read_to_end(int output, int program, Clock::time_point deadline, Transcript& transcript) {
  constexpr auto kGrace = std::chrono::milliseconds(200);
  bool has_ended = false;
  std::array<pollfd, 2> events{{{output, POLLIN, 0}, {program, POLLIN, 0}}};
  std::array<char, 65536> buffer{};
  while (events[0].fd >= 0 || events[1].fd >= 0) {
    if (!wait_for_input(events, deadline)) return has_ended;
    if (events[1].revents != 0) {
      events[1].fd = -1;
      has_ended = true;
      deadline = std::min(deadline, Clock::now() + kGrace);
    }
    if (events[0].revents == 0) continue;
    const ssize_t got = ::read(output, buffer.data(), buffer.size());
    if (got > 0) {
      transcript.add(buffer.data(), static_cast<std::size_t>(got));
    } else if (got == 0 || errno != EINTR) {
      events[0].fd = -1;
    }
  }
  return true;
}

[[noreturn]] void cannot_start(const std::string& program, int reason) {
  throw Error(ErrorCode::kCompiler,
              fmt::format("{}: cannot start the program: {}", program, std::strerror(reason)));
}

}  // namespace

std::string ProcessResult::end() const {
  if (timed_out) return fmt::format("not finished after {}", format_time(time));
  return end_text(signal, exit_status);
}

ProcessResult run_process(std::span<const std::string> command, const std::filesystem::path& folder,
                          Nanoseconds timeout) {
  require_child_status();
  std::array<int, 2> output{};
  std::array<int, 2> failure{};
  if (::pipe2(output.data(), O_CLOEXEC) != 0) fail_to_make("a pipe");
  const Descriptor reader(output[0]);
  Descriptor writer(beyond_standard(output[1]));
  if (::pipe2(failure.data(), O_CLOEXEC) != 0) fail_to_make("a pipe");
  const Descriptor failure_reader(failure[0]);
  Descriptor failure_writer(beyond_standard(failure[1]));
  const Descriptor null(beyond_standard(::open("/dev/null", O_RDONLY | O_CLOEXEC)));
  Start start{
      {}, folder.c_str(), ::getpid(), null.number(), writer.number(), failure_writer.number()};
  std::vector<std::string> arguments(command.begin(), command.end());
  for (std::string& argument : arguments) start.arguments.push_back(argument.data());
  start.arguments.push_back(nullptr);

  const auto begin = Clock::now();
  const auto deadline = begin + std::min(timeout, kLongestWait);
  const pid_t id = ::fork();
  if (id < 0) fail_to_make("a process");
  if (id == 0) be_program(start);
  Program program(id);
  writer.close();
  failure_writer.close();
  if (const auto reason = failure_to_start(failure_reader.number(), deadline))
    cannot_start(command[0], *reason);
  // The C library of Debian 12 declares pidfd_open for C only.
  const Descriptor ended(static_cast<int>(::syscall(SYS_pidfd_open, id, 0)));
  if (ended.number() < 0) fail_to_make("a handle of a process (Linux 5.3 or later has them)");
  Transcript transcript;
  ProcessResult result;
  result.timed_out = !read_to_end(reader.number(), ended.number(), deadline, transcript);
  if (result.timed_out) program.kill();
  const int status = program.wait();
  result.time = Clock::now() - begin;
  result.output = transcript.text();
  if (result.timed_out) return result;
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
  if (WIFEXITED(status)) result.exit_status = WEXITSTATUS(status);
  return result;
}

void kill_running_programs() noexcept {
  for (const std::atomic<pid_t>& place : running) {
    const pid_t id = place;
    if (id > 0) ::kill(-id, SIGKILL);
  }
}

}  // namespace segue
