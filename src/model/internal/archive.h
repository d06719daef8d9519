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
  std::span<const std::byte> directory;  // where each begins, up to the end of the file
  // What to add to a position that the directory states to get one in the file: archives state
  // positions from their own start, or from that of the model.
  std::int64_t shift = 0;
};

// Finds the archive that ends a file. None where there is none, or one that cannot be moved: larger
// than 4 GB (zip64), in several parts, or damaged.
[[nodiscard]] std::optional<Archive> find_archive(std::span<const std::byte> file);

// What is lost where files are attached to a model in an archive that find_archive does not take,
// and what to do; empty where none are. Looks only behind the weights and names of the model.
[[nodiscard]] std::string lost_files_note(const Model& model);

// The directory of the archive whose contents begin at `position` of another file.
[[nodiscard]] std::vector<std::byte> moved_directory(const Archive& archive,
                                                     std::span<const std::byte> file,
                                                     std::uint64_t position);

}  // namespace segue
