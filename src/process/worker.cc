#include "process/worker.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "process/child.h"
#include "segue/error.h"

namespace segue {
namespace {

using Clock = std::chrono::steady_clock;

// To free a device in order takes less; what takes longer hangs.
constexpr auto kGrace = std::chrono::seconds(1);

int make_error_file() {
  const int file = ::memfd_create("segue-errors", MFD_CLOEXEC);
  if (file < 0) fail_to_make("a file for messages");
  // So that what is written after the file was cut begins at its start.
  ::fcntl(file, F_SETFL, O_APPEND);
  return file;
}

// What the child needs: between fork and exec nothing may allocate.
struct Start {
  const char* program = nullptr;
  std::array<char*, 2> arguments{};
  int null = -1;
  int socket = -1;
  int errors = -1;
};

// A copy beyond the numbers that are given out below.
int moved_up(int file) { return ::fcntl(file, F_DUPFD_CLOEXEC, kWorkerSocket + 1); }

[[noreturn]] void be_worker(const Start& start) {
  constexpr int kNotStarted = 127;
  // Its own group: Ctrl-C is for this process, which ends its workers in order. And a stopped
  // worker whose parent dies gets SIGHUP from the system.
  ::setpgid(0, 0);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGCHLD})
    std::signal(number, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  const int null = moved_up(start.null);
  const int socket = moved_up(start.socket);
  const int errors = moved_up(start.errors);
  if (::dup2(null, STDIN_FILENO) < 0 || ::dup2(null, STDOUT_FILENO) < 0 ||
      ::dup2(errors, STDERR_FILENO) < 0 || ::dup2(socket, kWorkerSocket) < 0)
    ::_exit(kNotStarted);
  ::close_range(kWorkerSocket + 1, ~0U, 0);
  ::execv(start.program, const_cast<char* const*>(start.arguments.data()));
  ::_exit(kNotStarted);
}

off_t size_of(int file) {
  struct stat status {};
  return ::fstat(file, &status) == 0 ? status.st_size : 0;
}

std::array<int, 2> connect() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    fail_to_make("a connection");
  return ends;
}

}  // namespace

Worker::Worker(const std::filesystem::path& program, const std::string& title)
    : connection_(-1), errors_(make_error_file()), socket_(-1) {
  if (::access(program.c_str(), X_OK) != 0) {
    throw Error(ErrorCode::kDevice, fmt::format("{}: {}; install the program again",
                                                program.string(), std::strerror(errno)));
  }
  const std::array<int, 2> ends = connect();
  connection_ = Descriptor(ends[0]);
  socket_ = MessageSocket(connection_.number());
  const Descriptor far_end(ends[1]);
  const Descriptor null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  std::string name = title;
  const Start start{
      program.c_str(), {name.data(), nullptr}, null.number(), far_end.number(), errors_.number()};
  id_ = ::fork();
  if (id_ < 0) fail_to_make("a process");
  if (id_ == 0) be_worker(start);
}

Worker::~Worker() {
  ::shutdown(connection_.number(), SHUT_WR);
  if (!closes_connection()) kill();
  (void)end();
}

// Whether it does within the grace; answers that nobody waits for come before.
bool Worker::closes_connection() {
  const auto deadline = Clock::now() + kGrace;
  pollfd event{connection_.number(), POLLIN, 0};
  try {
    while (wait_for_input({&event, 1}, deadline)) {
      if (!receive()) return true;
    }
  } catch (const Error&) {
    // The system does not let it wait: then it is killed.
  }
  return false;
}

bool Worker::send(std::span<const std::byte> message, int file) {
  if (size_of(errors_.number()) > 0) {
    const int cut = ::ftruncate(errors_.number(), 0);
    static_cast<void>(cut);  // where it fails, an older line is the last
  }
  return socket_.send(message, file);
}

void Worker::kill() noexcept {
  const std::lock_guard lock(end_mutex_);
  if (!is_collected_) ::kill(id_, SIGKILL);
}

std::string Worker::end() {
  const std::lock_guard lock(end_mutex_);
  if (is_collected_) return end_;
  const auto status = wait_for_end(id_);
  is_collected_ = true;
  if (!status) {
    end_ = "unknown status";
  } else if (WIFSIGNALED(*status)) {
    end_ = fmt::format("signal {} ({})", WTERMSIG(*status), ::strsignal(WTERMSIG(*status)));
  } else {
    end_ = fmt::format("exit status {}", WEXITSTATUS(*status));
  }
  return end_;
}

std::string Worker::last_words() const {
  constexpr off_t kMost = 4096;
  const off_t size = size_of(errors_.number());
  if (size <= 0) return {};
  const off_t begin = std::max<off_t>(0, size - kMost);
  std::string text(static_cast<std::size_t>(size - begin), '\0');
  const ssize_t got = ::pread(errors_.number(), text.data(), text.size(), begin);
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  while (!text.empty() && std::strchr("\r\n \t", text.back()) != nullptr) text.pop_back();
  text.erase(0, text.rfind('\n') + 1);
  std::ranges::replace_if(
      text, [](unsigned char c) { return c < ' '; }, ' ');
  return text;
}

void end_with_parent(int socket) {
  std::thread([socket] {
    pollfd event{socket, POLLRDHUP, 0};
    while (::poll(&event, 1, -1) < 0 && errno == EINTR) {
    }
    std::this_thread::sleep_for(kGrace);
    ::_exit(EXIT_SUCCESS);
  }).detach();
}

}  // namespace segue
