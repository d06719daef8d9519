#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "base/internal/file/descriptor.h"
#include "segue/error.h"
#include "segue/file.h"

namespace segue {

namespace fs = std::filesystem;

AppendedFile::AppendedFile(fs::path path) : path_(std::move(path)) {
  std::error_code ignored;  // if this fails, opening the file fails too
  if (const fs::path folder = path_.parent_path(); !folder.empty())
    fs::create_directories(folder, ignored);
  constexpr mode_t kOrdinaryFile = 0666;
  do {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, kOrdinaryFile);
    if (descriptor_ < 0) fail("cannot open");
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      const int reason = errno;
      ::close(descriptor_);
      errno = reason;
      fail(reason == EWOULDBLOCK
               ? "another process writes to it; name another file"
               : "the file system does not support locks; name a file on a local file system");
    }
  } while (!is_still_there());
}

// Checks that the path still leads to this file. The process that held the lock before may have
// replaced it by a new one.
bool AppendedFile::is_still_there() const {
  struct stat ours {};
  struct stat there {};
  return ::fstat(descriptor_, &ours) == 0 && ::stat(path_.c_str(), &there) == 0 &&
         ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

AppendedFile::~AppendedFile() { ::close(descriptor_); }

void AppendedFile::append(std::string_view text) {
  if (!write_all(descriptor_, std::as_bytes(std::span(text)))) fail("cannot write");
}

void AppendedFile::cut_to(std::size_t bytes) {
  if (::ftruncate(descriptor_, static_cast<off_t>(bytes)) != 0) fail("cannot truncate");
}

void AppendedFile::fail(const char* what) const {
  throw Error(ErrorCode::kIo,
              fmt::format("{}: {}: {}", path_.string(), what, std::strerror(errno)));
}

}  // namespace segue
