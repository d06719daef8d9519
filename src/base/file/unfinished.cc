#include "base/file/unfinished.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstring>

#include "segue/error.h"
#include "segue/file.h"

namespace segue {
namespace {

static_assert(std::atomic<Unfinished*>::is_always_lock_free);
static_assert(std::atomic<Unfinished::Kind>::is_always_lock_free);

using Kind = Unfinished::Kind;

std::atomic<Unfinished*> newest{nullptr};

Unfinished* find_free() {
  for (Unfinished* entry = newest; entry != nullptr; entry = entry->next) {
    Kind expected = Kind::kFree;
    if (entry->kind.compare_exchange_strong(expected, Kind::kTaken)) return entry;
  }
  return nullptr;
}

Unfinished* add_entry() {
  auto* entry = new Unfinished;
  entry->kind = Kind::kTaken;
  entry->next = newest;
  while (!newest.compare_exchange_weak(entry->next, entry)) {
  }
  return entry;
}

// Nested folders are in the list in any order, so this repeats until none can be removed.
void remove_folders() noexcept {
  bool has_removed = true;
  while (has_removed) {
    has_removed = false;
    for (Unfinished* entry = newest; entry != nullptr; entry = entry->next)
      has_removed |= entry->kind == Kind::kFolder && ::rmdir(entry->path.data()) == 0;
  }
}

}  // namespace

Unfinished* add_unfinished(const std::filesystem::path& path, Kind kind) {
  const std::string& text = path.native();
  if (text.size() >= PATH_MAX) {
    throw Error(ErrorCode::kIo,
                fmt::format("{}: the path has {} bytes, but the limit is {}; name a shorter path",
                            text, text.size(), PATH_MAX - 1));
  }
  Unfinished* entry = find_free();
  if (entry == nullptr) entry = add_entry();
  std::memcpy(entry->path.data(), text.c_str(), text.size() + 1);
  entry->kind = kind;
  return entry;
}

void forget(Unfinished& entry) noexcept { entry.kind = Kind::kFree; }

void remove_staged_files() noexcept {
  for (Unfinished* entry = newest; entry != nullptr; entry = entry->next) {
    if (entry->kind == Kind::kFile) ::unlink(entry->path.data());
  }
  remove_folders();
}

}  // namespace segue
