// A list of the files and folders to remove if the program ends now. A signal handler may read it.
#pragma once

#include <array>
#include <atomic>
#include <climits>
#include <filesystem>

namespace segue {

// An entry of the list. Entries are reused but never freed, because a handler may be reading them.
struct Unfinished {
  enum class Kind { kFree, kTaken, kFile, kFolder };
  std::atomic<Kind> kind = Kind::kFree;  // kTaken: `path` is being written
  std::array<char, PATH_MAX> path{};     // zero-terminated; written before `kind`
  Unfinished* next = nullptr;            // written before the entry is in the list
};

// Adds a path, preferably before it exists. Throws Error(kIo) for a path that is too long for the
// system.
[[nodiscard]] Unfinished* add_unfinished(const std::filesystem::path& path, Unfinished::Kind kind);

// Removes an entry: the path is committed or no longer exists.
void forget(Unfinished& entry) noexcept;

}  // namespace segue
