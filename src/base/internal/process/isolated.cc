#include "base/internal/process/isolated.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "base/internal/file/descriptor.h"
#include "base/internal/process/child.h"
#include "segue/error.h"
#include "segue/stop.h"

namespace segue {
namespace {

// A record on the pipe: kind, code of an Error, size of the text, text.
enum class MessageKind : std::uint32_t { kStep, kResult, kError, kNoMemory };
struct Header {
  MessageKind kind{};
  std::uint32_t code = 0;
  std::uint64_t size = 0;
};

using Clock = std::chrono::steady_clock;

// The time between checks of whether a stop was requested.
constexpr auto kBetweenChecks = std::chrono::milliseconds(20);

// Limits the size that a record may state, because a damaged child may send any size.
constexpr std::uint64_t kLongestText = std::uint64_t{1} << 24U;

void send(int pipe, MessageKind kind, std::string_view text,
          ErrorCode code = ErrorCode::kInternal) {
  const Header header{kind, static_cast<std::uint32_t>(code), text.size()};
  // A write fails when the parent has died. No process is then interested in the result.
  if (!write_all(pipe, std::as_bytes(std::span(&header, 1))) ||
      !write_all(pipe, std::as_bytes(std::span(text))))
    ::_exit(EXIT_FAILURE);
}

// Closes the pipes of other threads, whose readers would otherwise never see the end of file.
void close_all_but(int pipe) {
  const auto kept = static_cast<unsigned>(pipe);
  if (kept > STDERR_FILENO + 1) ::close_range(STDERR_FILENO + 1, kept - 1, 0);
  ::close_range(std::max<unsigned>(kept, STDERR_FILENO) + 1, ~0U, 0);
}

// The child ends with _exit, because buffers of standard streams and the caller's objects belong to
// the parent.
[[noreturn]] void be_child(int pipe,
                           const std::function<std::string(const StepReport&)>& work) noexcept {
  forget_callers_signals();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // the child dies with its parent
  close_all_but(pipe);
  try {
    const std::string result =
        work([&](const std::string& step) { send(pipe, MessageKind::kStep, step); });
    if (result.size() > kLongestText)
      throw Error(ErrorCode::kInternal, "the result is larger than 16 MiB");
    send(pipe, MessageKind::kResult, result);
  } catch (const Error& error) {
    send(pipe, MessageKind::kError, error.what(), error.code());
  } catch (const std::bad_alloc&) {
    send(pipe, MessageKind::kNoMemory, "");
  } catch (const std::exception& error) {
    send(pipe, MessageKind::kError, error.what());
  }
  ::_exit(EXIT_SUCCESS);
}

// Returns false at the deadline or at the end of the pipe. The pipe may end in the middle of a
// record if the child died.
bool read_all(int pipe, void* data, std::size_t size, Clock::time_point deadline) {
  auto* next = static_cast<char*>(data);
  pollfd event{pipe, POLLIN, 0};
  check_stopped();
  while (size > 0) {
    if (!wait_for_input({&event, 1}, std::min(deadline, Clock::now() + kBetweenChecks))) {
      check_stopped();
      if (Clock::now() >= deadline) return false;
      continue;
    }
    const ssize_t got = ::read(pipe, next, size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    next += got;
    size -= static_cast<std::size_t>(got);
  }
  return true;
}

struct Record {
  Header header;
  std::string text;
};

// Returns nothing at the end of the pipe, and for a malformed record, which sets `damaged`.
std::optional<Record> read_record(int pipe, Clock::time_point deadline, bool& damaged) {
  Record record;
  if (!read_all(pipe, &record.header, sizeof(Header), deadline)) return std::nullopt;
  damaged = record.header.size > kLongestText;
  if (damaged) return std::nullopt;
  record.text.resize(record.header.size);
  if (!read_all(pipe, record.text.data(), record.text.size(), deadline)) return std::nullopt;
  return record;
}

// Kills and reaps the child when the scope is left, also by an exception, so that it does not
// remain a zombie.
class Child {
 public:
  explicit Child(pid_t id) : id_(id) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (id_ <= 0) return;
    ::kill(id_, SIGKILL);
    (void)wait_for_end(id_);
  }
  [[nodiscard]] std::string wait() { return end_text(wait_for_end(std::exchange(id_, 0))); }
  void kill() const { ::kill(id_, SIGKILL); }

 private:
  pid_t id_;
};

}  // namespace

std::string run_isolated(const std::function<std::string(const StepReport&)>& work,
                         Nanoseconds timeout) {
  const auto deadline = Clock::now() + std::min(timeout, kLongestWait);
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail_to_make("a pipe");
  const Descriptor reader(ends[0]);
  Descriptor writer(ends[1]);
  const pid_t id = ::fork();
  if (id < 0) fail_to_make("a process");
  if (id == 0) be_child(writer.number(), work);
  Child child(id);
  writer.close();
  std::string step;
  bool damaged = false;
  while (auto record = read_record(reader.number(), deadline, damaged)) {
    switch (record->header.kind) {
      case MessageKind::kStep:
        step = std::move(record->text);
        break;
      case MessageKind::kResult:
        (void)child.wait();
        return std::move(record->text);
      case MessageKind::kError:
        (void)child.wait();
        throw Error(static_cast<ErrorCode>(record->header.code), record->text);
      case MessageKind::kNoMemory:
        (void)child.wait();
        throw std::bad_alloc();
    }
  }
  const bool timed_out = Clock::now() >= deadline;
  if (timed_out || damaged) child.kill();
  const std::string end = child.wait();
  if (timed_out) throw Crash{step, "no answer within " + format_time(timeout), true};
  throw Crash{step, damaged ? "a damaged answer" : end};
}

}  // namespace segue
