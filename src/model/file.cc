#include "segue/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <system_error>
#include <utility>

#include "segue/error.h"

namespace segue {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const fs::path& path, const std::string& what, int reason) {
  const char* hint = reason == ENOSPC ? "; free some space or name another place" : "";
  throw Error(ErrorCode::kIo,
              fmt::format("{}: {}: {}{}", path.string(), what, std::strerror(reason), hint));
}

// Replacing a device or a pipe by a file is never what was meant; a link keeps pointing where it
// does.
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

// A new file beside `target`, with the rights that the caller's umask leaves.
int open_temporary(const fs::path& target, std::string& temporary) {
  constexpr mode_t kOrdinaryFile = 0666;
  constexpr int kAttempts = 100;
  std::random_device random;
  int file = -1;
  for (int attempt = 0; attempt < kAttempts && file < 0; ++attempt) {
    temporary =
        (target.parent_path() / fmt::format(".{}.{:08x}", target.filename().string(), random()))
            .string();
    file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kOrdinaryFile);
    if (file < 0 && errno != EEXIST) break;
  }
  return file;
}

void write_piece(int file, std::span<const std::byte> piece, const fs::path& path) {
  while (!piece.empty()) {
    const ssize_t written = ::write(file, piece.data(), piece.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(path, "cannot write", errno);
    piece = piece.subspan(static_cast<std::size_t>(written));
  }
}

}  // namespace

StagedFiles::~StagedFiles() {
  for (const Entry& entry : entries_) ::unlink(entry.temporary.c_str());
  // Innermost first; a folder that something else has filled by now stays.
  std::ranges::reverse(folders_);
  for (const fs::path& folder : folders_) ::rmdir(folder.c_str());
}

void StagedFiles::make_folders(const fs::path& folder) {
  std::error_code reason;
  if (folder.empty() || fs::is_directory(folder, reason)) return;
  make_folders(folder.parent_path());
  fs::create_directory(folder, reason);
  if (reason) fail(folder, "cannot make the folder", reason.value());
  folders_.push_back(folder);
}

void StagedFiles::stage(const fs::path& path, std::span<const std::span<const std::byte>> pieces) {
  make_folders(path.parent_path());
  const fs::path target = resolve(path);
  std::string temporary;
  const int file = open_temporary(target, temporary);
  if (file < 0) fail(path, "cannot write", errno);
  entries_.push_back({temporary, target});
  try {
    for (const auto& piece : pieces) write_piece(file, piece, path);
  } catch (...) {
    ::close(file);
    throw;
  }
  // Network file systems report a full disk only here.
  if (::close(file) != 0) fail(path, "cannot write", errno);
}

void StagedFiles::stage(const fs::path& path, std::string_view text) {
  const std::array pieces{std::as_bytes(std::span(text))};
  stage(path, pieces);
}

void StagedFiles::commit() {
  for (const Entry& entry : entries_) {
    if (::rename(entry.temporary.c_str(), entry.target.c_str()) != 0)
      fail(entry.target, "cannot write", errno);
  }
  entries_.clear();
  folders_.clear();
}

void write_file(const fs::path& path, std::string_view text) {
  StagedFiles files;
  files.stage(path, text);
  files.commit();
}

std::string read_text_file(const fs::path& path, std::size_t limit_bytes) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(path, "cannot open", errno);
  constexpr std::size_t kChunkBytes = 65536;
  std::string text;
  while (file && text.size() <= limit_bytes) {
    const std::size_t end = text.size();
    text.resize(end + kChunkBytes);
    file.read(text.data() + end, kChunkBytes);
    text.resize(end + static_cast<std::size_t>(file.gcount()));
  }
  if (file.bad()) fail(path, "cannot read", errno);
  if (text.size() > limit_bytes) {
    throw Error(ErrorCode::kIo,
                fmt::format("{}: larger than the {} bytes that such a file may have", path.string(),
                            limit_bytes));
  }
  return text;
}

}  // namespace segue
