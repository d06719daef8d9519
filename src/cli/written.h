// What a command says about the files that it writes.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace segue::cli {

// For help texts of -o and the like.
inline constexpr const char* kReplaces =
    "; overwrites an existing file, and creates missing folders";

// Which files exist, and which of their folders are missing: made before they are written.
class BeforeWriting {
 public:
  explicit BeforeWriting(const std::vector<std::filesystem::path>& files);

  // "created", "overwritten", "1 created, 2 overwritten"; with new folders "created; new folder
  // a/b".
  [[nodiscard]] std::string change() const;

 private:
  std::size_t created_ = 0;
  std::size_t overwritten_ = 0;
  std::vector<std::string> folders_;  // created, outermost first
};

// Writes a file, and says so on stderr.
void write_noted(const std::filesystem::path& path, std::string_view text);

}  // namespace segue::cli
