// A folder that is removed when its owner is destroyed.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/file/unfinished.h"

namespace segue {

class TemporaryFolder {
 public:
  // Creates a folder in `parent`, which must exist. Throws Error(kIo).
  explicit TemporaryFolder(const std::filesystem::path& parent);
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  // Removes the folder with its contents.
  ~TemporaryFolder();

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  // Returns the path of a file in the folder. If a signal ends the program, only files with such a
  // path are removed.
  [[nodiscard]] std::filesystem::path file(const std::string& name);

 private:
  std::filesystem::path path_;
  std::vector<Unfinished*> entries_;
};

}  // namespace segue
