#include "segue/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>
#include <system_error>
#include <utility>

#include "segue/error.h"

namespace segue {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const fs::path& path, const std::string& what, int reason) {
  throw Error(ErrorCode::kIo,
              fmt::format("{}: {}: {}", path.string(), what, std::strerror(reason)));
}

void make_folder(const fs::path& folder) {
  std::error_code reason;
  if (!folder.empty()) fs::create_directories(folder, reason);
  if (reason) fail(folder, "cannot make the folder", reason.value());
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
}

void StagedFiles::stage(const fs::path& path, std::span<const std::span<const std::byte>> pieces) {
  make_folder(path.parent_path());
  if (fs::is_directory(path)) fail(path, "cannot write", EISDIR);
  std::string temporary =
      (path.parent_path() / ("." + path.filename().string() + ".XXXXXX")).string();
  const int file = ::mkostemp(temporary.data(), O_CLOEXEC);
  if (file < 0) fail(path, "cannot write", errno);
  entries_.push_back({temporary, path});
  try {
    for (const auto& piece : pieces) write_piece(file, piece, path);
    constexpr mode_t kOrdinaryFile = S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH;
    if (::fchmod(file, kOrdinaryFile) != 0) fail(path, "cannot write", errno);
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
}

void write_file(const fs::path& path, std::string_view text) {
  StagedFiles files;
  files.stage(path, text);
  files.commit();
}

std::string read_text_file(const fs::path& path, std::size_t limit_bytes) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(path, "cannot open", errno);
  std::string text(limit_bytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) fail(path, "cannot read", errno);
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > limit_bytes) {
    throw Error(ErrorCode::kIo,
                fmt::format("{}: larger than {} bytes", path.string(), limit_bytes));
  }
  return text;
}

}  // namespace segue
