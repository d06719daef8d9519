// A folder that is gone again when its owner is.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/file/unfinished.h"

namespace segue {

class TemporaryFolder {
 public:
  // Makes one in `parent`, which must exist. Throws Error(kIo).
  explicit TemporaryFolder(const std::filesystem::path& parent);
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  // Removes it with all that is in it.
  ~TemporaryFolder();

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  // The path of a file in it. Only files named so are also removed when a signal ends the program.
  [[nodiscard]] std::filesystem::path file(const std::string& name);

 private:
  std::filesystem::path path_;
  std::vector<Unfinished*> entries_;
};

}  // namespace segue
