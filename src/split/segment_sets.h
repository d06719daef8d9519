// Segment files by their names: which sets lie in a folder, and which one a caller means.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "segue/verify.h"

namespace segue {

// The name of one segment file.
struct SegmentName {
  std::string stem;
  std::size_t position = 0;
  std::size_t count = 0;
  bool is_compiled = false;
};

// STEM_segment_I_of_N.tflite, or with _edgetpu before the dot; nothing for other names.
[[nodiscard]] std::optional<SegmentName> parse_segment_name(const std::filesystem::path& path);

// The segment files in a folder that have one stem and one count: path by position.
struct SegmentSet {
  std::string stem;
  std::size_t count = 0;
  std::map<std::size_t, std::filesystem::path> cut;
  std::map<std::size_t, std::filesystem::path> compiled;
};

// In the order of stem and count. Throws Error(kIo) where the folder cannot be listed.
[[nodiscard]] std::vector<SegmentSet> segment_sets(const std::filesystem::path& folder);

// The only set. Throws Error(kIo) where there is none, or several, which it names.
[[nodiscard]] const SegmentSet& only_set(const std::vector<SegmentSet>& sets,
                                         const std::filesystem::path& folder);

// All files of that kind, in order. Throws Error(kIo) naming those that are missing, and
// Error(kInvalidArgument) where cut files are wanted and there are only compiled ones.
[[nodiscard]] std::vector<std::filesystem::path> complete_files(const SegmentSet& set,
                                                                const std::filesystem::path& folder,
                                                                SegmentFiles files);

}  // namespace segue
