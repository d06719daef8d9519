// The files and folders that a program would leave behind if it ended now, readable from a signal
// handler.
#pragma once

#include <array>
#include <atomic>
#include <climits>
#include <filesystem>

namespace segue {

// An entry of the list. Entries are used again but never freed: a handler may be reading them.
struct Unfinished {
  enum class Kind { kFree, kTaken, kFile, kFolder };
  std::atomic<Kind> kind = Kind::kFree;  // kTaken: `path` is being written
  std::array<char, PATH_MAX> path{};     // ends with 0; set before the kind
  Unfinished* next = nullptr;            // set before the entry is in the list
};

// Lists a path, best before it exists. Throws Error(kIo) for one that the system could not open
// either.
[[nodiscard]] Unfinished* add_unfinished(const std::filesystem::path& path, Unfinished::Kind kind);

// It is in its place, or gone.
void forget(Unfinished& entry) noexcept;

}  // namespace segue
