#include "base/internal/process/worker.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <utility>

#include "base/internal/process/child.h"
#include "segue/error.h"

namespace segue {
namespace {

// A device shuts down in less time. A worker that needs longer hangs.
constexpr auto kGrace = std::chrono::seconds(1);

int make_error_file() {
  const int file = beyond_standard(::memfd_create("segue-errors", MFD_CLOEXEC));
  // After the file is truncated, writes must start at its beginning.
  ::fcntl(file, F_SETFL, O_APPEND);
  return file;
}

// Data for the child, prepared before the fork, because nothing may allocate between fork and exec.
struct WorkerStart {
  const char* program = nullptr;
  std::array<char*, 2> arguments{};
  pid_t parent = 0;
  int socket = -1;
  int errors = -1;
};

// Writes the reason to stderr, where the parent reads the worker's last line.
[[noreturn]] void fail_to_start(int errors) {
  const char* const reason = ::strerrordesc_np(errno);
  const ssize_t written = ::write(errors, reason, std::strlen(reason));
  static_cast<void>(written);  // if it fails, the parent still sees the exit status
  constexpr int kNotStarted = 127;
  ::_exit(kNotStarted);
}

[[noreturn]] void be_worker(const WorkerStart& start) {
  // The worker gets a separate process group, because Ctrl-C is for the parent, which shuts its
  // workers down in order.
  ::setpgid(0, 0);
  forget_callers_signals();
  // The worker dies with the thread that waits for it. That thread ends earlier than the worker
  // only when the process ends.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != start.parent) ::_exit(EXIT_FAILURE);
  // These copies have higher numbers than the descriptors that are assigned below, so that none is
  // overwritten.
  const int socket = ::fcntl(start.socket, F_DUPFD_CLOEXEC, kWorkerSocket + 1);
  const int null = ::open("/dev/null", O_RDWR);
  if (socket < 0 || ::dup2(null, STDIN_FILENO) < 0 || ::dup2(null, STDOUT_FILENO) < 0 ||
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

// Runs in a separate thread, because the system kills the child when the thread that forked it
// ends.
void Worker::live(const std::shared_ptr<Life>& life, const std::string& program,
                  const std::string& title, int socket, int errors) {
  std::string name = title;
  const WorkerStart start{program.c_str(), {name.data(), nullptr}, ::getpid(), socket, errors};
  const pid_t id = ::fork();
  if (id == 0) be_worker(start);
  {
    const std::lock_guard lock(life->mutex);
    life->failure = errno;
    life->id = id;
    life->has_ended = id < 0;
  }
  life->changed.notify_all();
  if (id < 0) return;
  // The child remains a zombie, which keeps its number reserved, until `kill` can see that it
  // ended.
  siginfo_t unused{};
  while (::waitid(P_PID, static_cast<id_t>(id), &unused, WEXITED | WNOWAIT) != 0 &&
         errno == EINTR) {
  }
  {
    const std::lock_guard lock(life->mutex);
    life->end = end_text(wait_for_end(id));
    life->has_ended = true;
  }
  life->changed.notify_all();
}

Worker::Worker(const std::filesystem::path& program, const std::string& title)
    : connection_(-1), errors_(make_error_file()), socket_(-1) {
  if (::access(program.c_str(), X_OK) != 0) {
    throw Error(ErrorCode::kDevice, fmt::format("{}: {}; reinstall the program", program.string(),
                                                std::strerror(errno)));
  }
  Connection ends = connect();
  connection_ = std::move(ends.near);
  socket_ = MessageSocket(connection_.number());
  try {
    thread_ = std::thread(&Worker::live, life_, program.string(), title, ends.far.number(),
                          errors_.number());
  } catch (const std::system_error&) {
    fail_to_make("a thread");
  }
  std::unique_lock lock(life_->mutex);
  life_->changed.wait(lock, [&] { return life_->id != 0; });
  if (life_->id > 0) return;
  lock.unlock();
  thread_.join();
  errno = life_->failure;
  fail_to_make("a process");
}

Worker::~Worker() {
  ask_to_end();
  (void)ends_by(*asked_ + kGrace);
  kill();
  if (ends_by(Clock::now() + kGrace)) {
    thread_.join();
  } else {
    // The system cannot kill it, for example because a driver hangs.
    thread_.detach();
  }
}

void Worker::ask_to_end() noexcept {
  const std::lock_guard lock(asked_mutex_);
  if (asked_) return;
  asked_ = Clock::now();
  ::shutdown(connection_.number(), SHUT_WR);
}

void Worker::kill() noexcept {
  const std::lock_guard lock(life_->mutex);
  if (!life_->has_ended) ::kill(life_->id, SIGKILL);
}

bool Worker::send(std::span<const std::byte> message, int file) {
  // If the worker died after its last answer, its last line is still of interest.
  if (size_of(errors_.number()) > 0 && !ends_by(Clock::now())) {
    const int cut = ::ftruncate(errors_.number(), 0);
    static_cast<void>(cut);  // if it fails, the last line is an older one
  }
  return socket_.send(message, file);
}

// Holds the lock, because the process number may be reused once the worker has been reaped.
bool Worker::write_memory(std::span<const std::byte> from, std::uint64_t address) const {
  const std::lock_guard lock(life_->mutex);
  if (life_->has_ended) return false;
  const iovec here{const_cast<std::byte*>(from.data()), from.size()};
  const iovec there{reinterpret_cast<void*>(address), from.size()};
  return ::process_vm_writev(life_->id, &here, 1, &there, 1, 0) ==
         static_cast<ssize_t>(from.size());
}

bool Worker::read_memory(std::uint64_t address, std::span<std::byte> to) const {
  const std::lock_guard lock(life_->mutex);
  if (life_->has_ended) return false;
  const iovec here{to.data(), to.size()};
  const iovec there{reinterpret_cast<void*>(address), to.size()};
  return ::process_vm_readv(life_->id, &here, 1, &there, 1, 0) == static_cast<ssize_t>(to.size());
}

bool Worker::ends_by(Clock::time_point deadline) const {
  std::unique_lock lock(life_->mutex);
  return life_->changed.wait_until(lock, deadline, [&] { return life_->has_ended; });
}

std::string Worker::end() {
  kill();
  if (!ends_by(Clock::now() + kGrace))
    return "no exit status: the system still waits for the device";
  const std::lock_guard lock(life_->mutex);
  return life_->end;
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

}  // namespace segue
