#include "base/internal/file/temporary_folder.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include "segue/error.h"

namespace segue {

namespace fs = std::filesystem;

TemporaryFolder::TemporaryFolder(const fs::path& parent) {
  std::string name = (fs::absolute(parent) / ".segue-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) {
    throw Error(ErrorCode::kIo,
                fmt::format("{}: cannot create a folder in it: {}; name another place",
                            parent.string(), std::strerror(errno)));
  }
  path_ = name;
  entries_.push_back(add_unfinished(path_, Unfinished::Kind::kFolder));
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code reason;
  fs::remove_all(path_, reason);
  for (Unfinished* entry : entries_) forget(*entry);
}

fs::path TemporaryFolder::file(const std::string& name) {
  fs::path path = path_ / name;
  entries_.push_back(add_unfinished(path, Unfinished::Kind::kFile));
  return path;
}

}  // namespace segue
