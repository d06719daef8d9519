/// Files written whole or not at all. Names of what is not yet in its place stand in a list that a
/// signal handler may read, so that a program can clean up when it is interrupted.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

namespace [[gnu::visibility("default")]] segue {

struct Unfinished;  // a file or folder in the list for signal handlers

/// A set of files, each written beside its place under a temporary name; `commit` moves all of them
/// over, one rename after another, in the order they were staged. Destroyed before that, it removes
/// what it wrote and the folders it made, so that a full disk leaves neither half a file nor half a
/// set. What a loss of power leaves is up to the file system: nothing waits until the disk has it.
/// Distinct sets may be used by distinct threads.
class StagedFiles {
 public:
  StagedFiles() = default;
  StagedFiles(const StagedFiles&) = delete;
  StagedFiles& operator=(const StagedFiles&) = delete;
  ~StagedFiles();

  /// Writes the pieces one after another to a temporary file in the folder of `path`, which is made
  /// when missing. A link is followed; what is neither a file nor absent is refused. Throws
  /// Error(kIo) with the reason.
  void stage(const std::filesystem::path& path, std::span<const std::span<const std::byte>> pieces);
  void stage(const std::filesystem::path& path, std::string_view text);

  /// Moves every staged file to its place; the calling thread takes no signals meanwhile. Throws
  /// Error(kIo) when the system refuses a rename: the files before it are new then, the others as
  /// they were.
  void commit();

 private:
  struct Entry {
    Unfinished* temporary;
    std::filesystem::path target;
  };
  void make_folders(const std::filesystem::path& folder);

  std::vector<Entry> entries_;
  std::vector<Unfinished*> folders_;  // made for them, outermost first
};

/// Removes the temporary files and new folders of all sets that are not yet committed. For signal
/// handlers of a program that is about to end: async-signal-safe, and no StagedFiles may be used
/// afterwards.
void remove_staged_files() noexcept;

/// A file that grows line by line during a long job, and that one process at a time adds to. What a
/// stopped machine leaves of the last line, the next process cuts off.
class AppendedFile {
 public:
  /// Opens the file, or makes it and its folder. Throws Error(kIo), also when another process has
  /// it.
  explicit AppendedFile(std::filesystem::path path);
  AppendedFile(const AppendedFile&) = delete;
  AppendedFile& operator=(const AppendedFile&) = delete;
  ~AppendedFile();

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// Throws Error(kIo).
  void append(std::string_view text);
  /// Leaves the first `bytes`. Throws Error(kIo).
  void cut_to(std::size_t bytes);

 private:
  [[noreturn]] void fail(const char* what) const;
  [[nodiscard]] bool is_still_there() const;

  std::filesystem::path path_;
  int descriptor_ = -1;
};

/// Writes one file atomically. Throws Error(kIo).
void write_file(const std::filesystem::path& path, std::string_view text);

/// Reads a whole text file of at most `limit_bytes`. Throws Error(kIo).
[[nodiscard]] std::string read_text_file(const std::filesystem::path& path,
                                         std::size_t limit_bytes);

}  // namespace segue
