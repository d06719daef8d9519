/// Atomic output files, append-only logs and bounded text input.
///
/// `StagedFiles` writes a set of files to temporary names and renames them when all are complete,
/// so that a failed or interrupted program leaves no partial output. `AppendedFile` is the log of a
/// long job that a later process continues.
///
/// Example:
///
///     segue::StagedFiles files;
///     files.stage("out/plan.json", "{}");
///     files.stage("out/report.csv", "stage,ms\n");
///     files.commit();  // both files are in place, or Error(kIo)
///
/// The paths of uncommitted files are kept in a list that a signal handler can read: a program that
/// is interrupted calls `remove_staged_files` to clean up. Renames are not followed by fsync, so
/// what remains after a power failure depends on the file system.
///
/// Thread-safety: different objects may be used from different threads. One object is for one
/// thread at a time. The free functions may be called from any thread.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

namespace [[gnu::visibility("default")]] segue {

struct Unfinished;  // internal: an entry of the list that signal handlers read

// --- Atomic output

/// A set of files that appear at their paths together.
///
/// `stage` writes each file under a temporary name in the target's folder. `commit` renames all of
/// them, in the order in which they were staged. The destructor removes the files that were not
/// committed and the folders that `stage` created, unless these folders contain other files.
class StagedFiles {
 public:
  StagedFiles() = default;
  StagedFiles(const StagedFiles&) = delete;
  StagedFiles& operator=(const StagedFiles&) = delete;
  ~StagedFiles();

  /// Writes the concatenation of `pieces` to a temporary file. Creates the folder of `path` if it
  /// is missing. If `path` is a symbolic link, its target is replaced. Throws Error(kIo) with the
  /// system's reason, and when `path` exists and is not a regular file.
  void stage(const std::filesystem::path& path, std::span<const std::span<const std::byte>> pieces);
  void stage(const std::filesystem::path& path, std::string_view text);

  /// Renames every staged file to its path. Signals to the calling thread are blocked meanwhile.
  /// Throws Error(kIo) when the system refuses a rename; the files staged before that one are then
  /// already replaced, and the others are unchanged.
  void commit();

 private:
  struct Entry {
    Unfinished* temporary;
    std::filesystem::path target;
  };
  void make_folders(const std::filesystem::path& folder);

  std::vector<Entry> entries_;
  std::vector<Unfinished*> folders_;  // created by `stage`, outermost first
};

/// Removes the temporary files and new folders of all sets that are not committed. Async-signal-
/// safe: for the signal handler of a program that is about to exit. No StagedFiles may be used
/// afterwards.
void remove_staged_files() noexcept;

/// Writes one file atomically: `stage` and `commit` of a single file. Throws Error(kIo).
void write_file(const std::filesystem::path& path, std::string_view text);

// --- Append-only files

/// A text file to which a long job appends lines. It holds an exclusive lock (flock), so that one
/// process at a time writes to it. After a crash the last line may be incomplete; the next process
/// removes it with `cut_to`.
class AppendedFile {
 public:
  /// Opens the file, or creates it and its folder. Throws Error(kIo) when it cannot be opened, when
  /// another process has locked it, or when its file system has no locks.
  explicit AppendedFile(std::filesystem::path path);
  AppendedFile(const AppendedFile&) = delete;
  AppendedFile& operator=(const AppendedFile&) = delete;
  ~AppendedFile();

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// Appends `text`. Throws Error(kIo).
  void append(std::string_view text);
  /// Truncates the file to its first `bytes` bytes. Throws Error(kIo).
  void cut_to(std::size_t bytes);

 private:
  [[noreturn]] void fail(const char* what) const;
  [[nodiscard]] bool is_still_there() const;

  std::filesystem::path path_;
  int descriptor_ = -1;
};

// --- Input

/// Reads a whole text file. Throws Error(kIo) when it cannot be read, is not a regular file, or has
/// more than `limit_bytes` bytes.
[[nodiscard]] std::string read_text_file(const std::filesystem::path& path,
                                         std::size_t limit_bytes);

}  // namespace segue
