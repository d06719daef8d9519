/// Files written whole or not at all.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

namespace segue {

/// A set of files, each written beside its place under a temporary name; `commit` moves all of them
/// over, one rename after another, in the order they were staged. Destroyed before that, it removes
/// what it wrote and the folders it made, so that a full disk leaves neither half a file nor half a
/// set.
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

  /// Moves every staged file to its place. Throws Error(kIo).
  void commit();

 private:
  struct Entry {
    std::filesystem::path temporary;
    std::filesystem::path target;
  };
  void make_folders(const std::filesystem::path& folder);

  std::vector<Entry> entries_;
  std::vector<std::filesystem::path> folders_;  // made for them, outermost first
};

/// Writes one file atomically. Throws Error(kIo).
void write_file(const std::filesystem::path& path, std::string_view text);

/// Reads a whole text file of at most `limit_bytes`. Throws Error(kIo).
[[nodiscard]] std::string read_text_file(const std::filesystem::path& path,
                                         std::size_t limit_bytes);

}  // namespace segue
