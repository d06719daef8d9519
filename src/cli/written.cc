#include "cli/written.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "cli/commands.h"
#include "segue/file.h"
#include "segue/report.h"

namespace segue::cli {

namespace fs = std::filesystem;

BeforeWriting::BeforeWriting(const std::vector<fs::path>& files) {
  std::error_code absent;
  for (const fs::path& file : files) {
    ++(fs::exists(file, absent) ? overwritten_ : created_);
    std::vector<std::string> missing;
    for (fs::path folder = file.parent_path(); !folder.empty() && !fs::exists(folder, absent);
         folder = folder.parent_path())
      missing.push_back(printable(folder.string()));
    for (auto folder = missing.rbegin(); folder != missing.rend(); ++folder) {
      if (std::ranges::find(folders_, *folder) == folders_.end()) folders_.push_back(*folder);
    }
  }
}

std::string BeforeWriting::change() const {
  std::string text = overwritten_ == 0 ? "created"
                     : created_ == 0
                         ? "overwritten"
                         : fmt::format("{} created, {} overwritten", created_, overwritten_);
  if (!folders_.empty())
    text += fmt::format("; new folder{} {}", folders_.size() == 1 ? "" : "s",
                        fmt::join(folders_, ", "));
  return text;
}

void write_noted(const fs::path& path, std::string_view text) {
  const BeforeWriting before({path});
  write_file(path, text);
  print_note(fmt::format("{}: {}", printable(path.string()), before.change()));
}

}  // namespace segue::cli
