// Notes that a command prints about the files that it writes.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace segue::cli {

// Part of the help texts of -o and similar options.
inline constexpr const char* kReplaces =
    "; overwrites an existing file, and creates missing folders";

// Records which files exist and which of their folders are missing. Create it before the files are
// written.
class BeforeWriting {
 public:
  explicit BeforeWriting(const std::vector<std::filesystem::path>& files);

  // For example "created", "overwritten" or "1 created, 2 overwritten"; with new folders "created;
  // new folder a/b".
  [[nodiscard]] std::string change() const;

 private:
  std::size_t created_ = 0;
  std::size_t overwritten_ = 0;
  std::vector<std::string> folders_;  // created, outermost first
};

// Writes a file and prints a note to stderr.
void write_noted(const std::filesystem::path& path, std::string_view text);

}  // namespace segue::cli
