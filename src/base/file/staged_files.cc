#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <random>
#include <string>
#include <system_error>

#include "base/file/unfinished.h"
#include "base/internal/file/descriptor.h"
#include "segue/error.h"
#include "segue/file.h"

namespace segue {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const fs::path& path, const std::string& what, int reason) {
  const bool is_place = what != "cannot open" && what != "cannot read" &&
                        (reason == ENOTDIR || reason == EISDIR || reason == EACCES ||
                         reason == EROFS || reason == EEXIST || reason == ENAMETOOLONG);
  const char* hint = reason == ENOSPC ? "; free some space or name another place"
                     : is_place       ? "; name another place"
                                      : "";
  throw Error(ErrorCode::kIo,
              fmt::format("{}: {}: {}{}", path.string(), what, std::strerror(reason), hint));
}

// Refuses to replace a device or a pipe by a file, which is never intended. A symbolic link is
// kept, and its target is replaced.
fs::path resolve(const fs::path& path) {
  std::error_code absent;
  fs::path target = fs::is_symlink(path, absent) ? fs::weakly_canonical(path) : path;
  const fs::file_status status = fs::status(target, absent);
  if (fs::is_directory(status)) fail(path, "cannot write", EISDIR);
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    throw Error(ErrorCode::kIo,
                fmt::format("{}: not a regular file; name another place", path.string()));
  }
  return target;
}

struct Temporary {
  int file = -1;  // open for writing; -1: `errno` has the reason
  Unfinished* entry = nullptr;
};

// Creates a new file in the folder of `target`, with the permissions that the caller's umask
// allows. Its name is short, because the name of the target may have the maximum length.
Temporary open_temporary(const fs::path& target) {
  constexpr mode_t kOrdinaryFile = 0666;
  constexpr int kAttempts = 100;
  std::random_device random;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const fs::path path =
        target.parent_path() / fmt::format(".segue.{:08x}{:08x}", random(), random());
    Unfinished* entry = add_unfinished(path, Unfinished::Kind::kFile);
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kOrdinaryFile);
    if (file >= 0) return {file, entry};
    const int reason = errno;
    forget(*entry);
    errno = reason;
    if (reason != EEXIST) break;
  }
  return {};
}

// Blocks signals to this thread during its lifetime.
class SignalsHeld {
 public:
  SignalsHeld() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, &before_);
  }
  SignalsHeld(const SignalsHeld&) = delete;
  SignalsHeld& operator=(const SignalsHeld&) = delete;
  ~SignalsHeld() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};

}  // namespace

StagedFiles::~StagedFiles() {
  for (const Entry& entry : entries_) {
    ::unlink(entry.temporary->path.data());
    forget(*entry.temporary);
  }
  // Removes the innermost folders first. A folder in which another program has created files is
  // kept.
  std::ranges::reverse(folders_);
  for (Unfinished* folder : folders_) {
    ::rmdir(folder->path.data());
    forget(*folder);
  }
}

void StagedFiles::make_folders(const fs::path& folder) {
  std::error_code reason;
  if (folder.empty() || fs::is_directory(folder, reason)) return;
  make_folders(folder.parent_path());
  const SignalsHeld held;  // a handler must find the new folder in the list
  const bool is_new = fs::create_directory(folder, reason);
  if (reason) fail(folder, "cannot create the folder", reason.value());
  if (is_new) folders_.push_back(add_unfinished(folder, Unfinished::Kind::kFolder));
}

void StagedFiles::stage(const fs::path& path, std::span<const std::span<const std::byte>> pieces) {
  make_folders(path.parent_path());
  const fs::path target = resolve(path);
  entries_.reserve(entries_.size() + 1);
  const auto [file, entry] = open_temporary(target);
  if (file < 0) fail(path, "cannot write", errno);
  entries_.push_back({entry, target});
  for (const auto& piece : pieces) {
    if (write_all(file, piece)) continue;
    const int reason = errno;
    ::close(file);
    fail(path, "cannot write", reason);
  }
  // Network file systems report a full disk only when the file is closed.
  if (::close(file) != 0) fail(path, "cannot write", errno);
}

void StagedFiles::stage(const fs::path& path, std::string_view text) {
  const std::array pieces{std::as_bytes(std::span(text))};
  stage(path, pieces);
}

void StagedFiles::commit() {
  const SignalsHeld held;
  for (const Entry& entry : entries_) {
    if (::rename(entry.temporary->path.data(), entry.target.c_str()) != 0)
      fail(entry.target, "cannot write", errno);
  }
  for (const Entry& entry : entries_) forget(*entry.temporary);
  for (Unfinished* folder : folders_) forget(*folder);
  entries_.clear();
  folders_.clear();
}

void write_file(const fs::path& path, std::string_view text) {
  StagedFiles files;
  files.stage(path, text);
  files.commit();
}

std::string read_text_file(const fs::path& path, std::size_t limit_bytes) {
  // Opening a pipe would block until there is a writer. O_NONBLOCK avoids that; pipes are refused.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.number() < 0) fail(path, "cannot open", errno);
  struct stat status {};
  if (::fstat(file.number(), &status) != 0) fail(path, "cannot read", errno);
  if (!S_ISREG(status.st_mode)) {
    throw Error(ErrorCode::kIo,
                fmt::format("{}: not a regular file; give a regular file", path.string()));
  }
  constexpr std::size_t kChunkBytes = 65536;
  std::string text;
  ssize_t got = 1;
  while (got > 0 && text.size() <= limit_bytes) {
    const std::size_t end = text.size();
    text.resize(end + kChunkBytes);
    do {
      got = ::read(file.number(), text.data() + end, kChunkBytes);
    } while (got < 0 && errno == EINTR);
    if (got < 0) fail(path, "cannot read", errno);
    text.resize(end + static_cast<std::size_t>(got));
  }
  if (text.size() > limit_bytes) {
    throw Error(ErrorCode::kIo,
                fmt::format("{}: larger than the limit of {} bytes", path.string(), limit_bytes));
  }
  return text;
}

}  // namespace segue
