#include "process/worker.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "process/child.h"
#include "segue/error.h"

namespace segue {
namespace {

// To free a device in order takes less; what takes longer hangs.
constexpr auto kGrace = std::chrono::seconds(1);

int make_error_file() {
  const int file = beyond_standard(::memfd_create("segue-errors", MFD_CLOEXEC));
  // So that what is written after the file was cut begins at its start.
  ::fcntl(file, F_SETFL, O_APPEND);
  return file;
}

// What the child needs: between fork and exec nothing may allocate.
struct Start {
  const char* program = nullptr;
  std::array<char*, 3> arguments{};
  int null = -1;
  int socket = -1;
  int errors = -1;
};

// The reason stands where the parent reads the worker's last words.
[[noreturn]] void fail_to_start(int errors) {
  const char* const reason = ::strerrordesc_np(errno);
  const ssize_t written = ::write(errors, reason, std::strlen(reason));
  static_cast<void>(written);  // the parent sees the exit status, too
  constexpr int kNotStarted = 127;
  ::_exit(kNotStarted);
}

[[noreturn]] void be_worker(const Start& start) {
  // Its own group: Ctrl-C is for this process, which ends its workers in order. And a stopped
  // worker whose parent dies gets SIGHUP from the system.
  ::setpgid(0, 0);
  forget_callers_signals();
  // None of them has the number that another one gets.
  const int socket = ::fcntl(start.socket, F_DUPFD_CLOEXEC, kWorkerSocket + 1);
  if (socket < 0 || ::dup2(start.null, STDIN_FILENO) < 0 || ::dup2(start.null, STDOUT_FILENO) < 0 ||
      ::dup2(start.errors, STDERR_FILENO) < 0 || ::dup2(socket, kWorkerSocket) < 0)
    fail_to_start(start.errors);
  ::close_range(kWorkerSocket + 1, ~0U, 0);
  ::execv(start.program, const_cast<char* const*>(start.arguments.data()));
  fail_to_start(STDERR_FILENO);
}

off_t size_of(int file) {
  struct stat status {};
  return ::fstat(file, &status) == 0 ? status.st_size : 0;
}

struct Connection {
  Descriptor near;
  Descriptor far;
};
Connection connect() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    fail_to_make("a connection");
  Descriptor other(ends[1]);
  Descriptor near(beyond_standard(ends[0]));
  return {std::move(near), Descriptor(beyond_standard(other.release()))};
}

}  // namespace

Worker::Worker(const std::filesystem::path& program, const std::string& title)
    : connection_(-1), errors_(make_error_file()), socket_(-1), handle_(-1) {
  if (::access(program.c_str(), X_OK) != 0) {
    throw Error(ErrorCode::kDevice, fmt::format("{}: {}; install the program again",
                                                program.string(), std::strerror(errno)));
  }
  Connection ends = connect();
  connection_ = std::move(ends.near);
  socket_ = MessageSocket(connection_.number());
  const int null_number = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null_number < 0) fail_to_make("a descriptor of /dev/null");
  const Descriptor null(beyond_standard(null_number));
  std::string name = title;
  std::string parent = std::to_string(::getpid());
  const Start start{program.c_str(),
                    {name.data(), parent.data(), nullptr},
                    null.number(),
                    ends.far.number(),
                    errors_.number()};
  id_ = ::fork();
  if (id_ < 0) fail_to_make("a process");
  if (id_ == 0) be_worker(start);
  try {
    handle_ = Descriptor(open_process(id_));
  } catch (...) {
    ::kill(id_, SIGKILL);
    (void)wait_for_end(id_);
    throw;
  }
}

Worker::~Worker() {
  ask_to_end();
  (void)ends_by(asked_.value_or(Clock::now()) + kGrace);
  (void)end();
}

void Worker::ask_to_end() noexcept {
  const std::lock_guard lock(end_mutex_);
  if (asked_) return;
  asked_ = Clock::now();
  ::shutdown(connection_.number(), SHUT_WR);
}

void Worker::kill() noexcept {
  // The C library of Debian 12 declares it for C alone.
  ::syscall(SYS_pidfd_send_signal, handle_.number(), SIGKILL, nullptr, 0);
}

bool Worker::send(std::span<const std::byte> message, int file) {
  // It may have died since its last answer: then its last words are still of interest.
  if (size_of(errors_.number()) > 0 && !ends_by(Clock::now())) {
    const int cut = ::ftruncate(errors_.number(), 0);
    static_cast<void>(cut);  // where it fails, an older line is the last
  }
  return socket_.send(message, file);
}

bool Worker::ends_by(Clock::time_point deadline) const noexcept {
  pollfd event{handle_.number(), POLLIN, 0};
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    const int ready = ::poll(&event, 1, static_cast<int>(std::max<std::int64_t>(left, 0)));
    if (ready > 0) return true;
    const bool goes_on = ready == 0 ? left > 0 : errno == EINTR;
    if (!goes_on) return false;
  }
}

std::string Worker::end() {
  kill();
  const bool has_ended = ends_by(Clock::now() + kGrace);
  const std::lock_guard lock(end_mutex_);
  if (end_) return *end_;
  if (has_ended) return end_.emplace(collect());
  // The system does not let it die, as with a driver that hangs: another thread waits for that.
  std::thread([id = id_] { (void)wait_for_end(id); }).detach();
  return end_.emplace("no end: the system still waits for the device");
}

// A caller that ignores SIGCHLD has no status to collect.
std::string Worker::collect() {
  const auto status = wait_for_end(id_);
  return status ? end_text(*status) : "unknown status";
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

void end_with_parent(int socket, pid_t parent) {
  // The connection alone is not enough: a process that the parent forked may hold its other end.
  const int handle = static_cast<int>(::syscall(SYS_pidfd_open, parent, 0));
  if (::getppid() != parent) ::_exit(EXIT_SUCCESS);
  std::thread([socket, handle] {
    std::array<pollfd, 2> events{{{socket, POLLRDHUP, 0}, {handle, POLLIN, 0}}};
    while (::poll(events.data(), events.size(), -1) < 0 && errno == EINTR) {
    }
    std::this_thread::sleep_for(kGrace);
    ::_exit(EXIT_SUCCESS);
  }).detach();
}

}  // namespace segue
