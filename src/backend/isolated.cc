#include "backend/isolated.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <optional>
#include <string_view>
#include <utility>

#include "file/descriptor.h"
#include "segue/error.h"

namespace segue {
namespace {

// A record on the pipe: kind, code of an Error, bytes of text, text.
enum class Kind : std::uint32_t { kStep, kResult, kError, kNoMemory };
struct Header {
  Kind kind{};
  std::uint32_t code = 0;
  std::uint64_t size = 0;
};

// False when the parent is gone: nobody is left to tell.
bool write_all(int pipe, const void* data, std::size_t size) {
  const auto* next = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t written = ::write(pipe, next, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    next += written;
    size -= static_cast<std::size_t>(written);
  }
  return true;
}

void send(int pipe, Kind kind, std::string_view text, ErrorCode code = ErrorCode::kInternal) {
  const Header header{kind, static_cast<std::uint32_t>(code), text.size()};
  if (!write_all(pipe, &header, sizeof(header)) || !write_all(pipe, text.data(), text.size()))
    ::_exit(EXIT_FAILURE);
}

// The caller's handlers are not meant for the child; its death shall be plain, leave no core file,
// and follow when the caller dies.
void become_expendable() {
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGSEGV, SIGBUS, SIGFPE,
                           SIGILL, SIGABRT, SIGTRAP, SIGSYS})
    std::signal(number, SIG_DFL);
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
}

// Leaves by _exit: buffers of standard streams and objects of the caller belong to the parent.
[[noreturn]] void be_child(int pipe,
                           const std::function<std::string(const Progress&)>& work) noexcept {
  become_expendable();
  try {
    const std::string result =
        work([&](const std::string& step) { send(pipe, Kind::kStep, step); });
    send(pipe, Kind::kResult, result);
  } catch (const Error& error) {
    send(pipe, Kind::kError, error.what(), error.code());
  } catch (const std::bad_alloc&) {
    send(pipe, Kind::kNoMemory, "");
  } catch (const std::exception& error) {
    send(pipe, Kind::kError, error.what());
  }
  ::_exit(EXIT_SUCCESS);
}

// False at the end of the pipe, which may come in the middle of a record when the child dies.
bool read_all(int pipe, void* data, std::size_t size) {
  auto* next = static_cast<char*>(data);
  while (size > 0) {
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

std::optional<Record> read_record(int pipe) {
  // A child whose memory is damaged may ask for anything.
  constexpr std::uint64_t kLongestText = std::uint64_t{1} << 24U;
  Record record;
  if (!read_all(pipe, &record.header, sizeof(Header))) return std::nullopt;
  if (record.header.size > kLongestText) return std::nullopt;
  record.text.resize(record.header.size);
  if (!read_all(pipe, record.text.data(), record.text.size())) return std::nullopt;
  return record;
}

std::string wait_for(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    // Callers that ignore SIGCHLD have no status to collect.
    if (errno != EINTR) return "unknown status";
  }
  if (WIFSIGNALED(status))
    return fmt::format("signal {}, {}", WTERMSIG(status), ::strsignal(WTERMSIG(status)));
  return fmt::format("exit status {}", WEXITSTATUS(status));
}

// Ends the child however the caller is left, so that none stays as a zombie.
class Child {
 public:
  explicit Child(pid_t id) : id_(id) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (id_ <= 0) return;
    ::kill(id_, SIGKILL);
    (void)wait_for(id_);
  }
  [[nodiscard]] std::string wait() { return wait_for(std::exchange(id_, 0)); }

 private:
  pid_t id_;
};

[[noreturn]] void fail(const char* what) {
  throw Error(ErrorCode::kIo,
              fmt::format("cannot make {}: {}; end other programs", what, std::strerror(errno)));
}

}  // namespace

std::string run_isolated(const std::function<std::string(const Progress&)>& work) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail("a pipe");
  const Descriptor reader(ends[0]);
  Descriptor writer(ends[1]);
  const pid_t id = ::fork();
  if (id < 0) fail("a process");
  if (id == 0) be_child(writer.number(), work);
  Child child(id);
  writer.close();
  std::string step;
  while (auto record = read_record(reader.number())) {
    switch (record->header.kind) {
      case Kind::kStep:
        step = std::move(record->text);
        break;
      case Kind::kResult:
        (void)child.wait();
        return std::move(record->text);
      case Kind::kError:
        (void)child.wait();
        throw Error(static_cast<ErrorCode>(record->header.code), record->text);
      case Kind::kNoMemory:
        (void)child.wait();
        throw std::bad_alloc();
    }
  }
  throw Crash{step, child.wait()};
}

}  // namespace segue
