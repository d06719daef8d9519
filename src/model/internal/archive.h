// The archive (zip) at the end of a model file, in which tools attach labels and descriptions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "segue/model.h"

namespace segue {

struct Archive {
  std::vector<std::string> names;        // of the attached files
  std::span<const std::byte> contents;   // their headers and data
  std::span<const std::byte> directory;  // the position of each, up to the end of the file
  // The difference between positions in the file and positions in the directory. Archives count
  // positions from their start or from the start of the model.
  std::int64_t shift = 0;
};

// Finds the archive at the end of a file. Empty if there is none, or if it cannot be moved: it is
// larger than 4 GB (zip64), in several parts, or damaged.
[[nodiscard]] std::optional<Archive> find_archive(std::span<const std::byte> file);

// Returns a note if files are attached to the model in an archive that find_archive does not
// accept: what is lost and what to do. Otherwise returns an empty text. Searches only behind the
// weights and names of the model.
[[nodiscard]] std::string lost_files_note(const Model& model);

// Returns the directory for a file in which the archive's contents begin at `position`.
[[nodiscard]] std::vector<std::byte> moved_directory(const Archive& archive,
                                                     std::span<const std::byte> file,
                                                     std::uint64_t position);

}  // namespace segue
