// Finds segment files by their names, and chooses the set that a caller means.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "segue/verify.h"

namespace segue {

// Ends the names of compiled files, before the dot.
inline constexpr std::string_view kCompiledSuffix = "_edgetpu";

// The parts of a segment's file name.
struct SegmentName {
  std::string stem;
  std::size_t position = 0;
  std::size_t count = 0;
  bool is_compiled = false;
};

// Parses STEM_segment_I_of_N.tflite, with or without _edgetpu before the dot. Returns nothing for
// other names.
[[nodiscard]] std::optional<SegmentName> parse_segment_name(const std::filesystem::path& path);

// The segment files in a folder that have the same stem and count, by position.
struct SegmentSet {
  std::string stem;
  std::size_t count = 0;
  std::map<std::size_t, std::filesystem::path> cut;
  std::map<std::size_t, std::filesystem::path> compiled;
};

// Returns the sets in the order of stem and count. Throws Error(kIo) if the folder cannot be
// listed.
[[nodiscard]] std::vector<SegmentSet> segment_sets(const std::filesystem::path& folder);

// Returns the only set. Throws Error(kIo) if there is none, or that names the sets if there are
// several.
[[nodiscard]] const SegmentSet& only_set(const std::vector<SegmentSet>& sets,
                                         const std::filesystem::path& folder);

// Returns all files of this kind, in order. Throws Error(kIo) that names missing files, and
// Error(kInvalidArgument) if cut files are requested but only compiled ones exist.
[[nodiscard]] std::vector<std::filesystem::path> complete_files(const SegmentSet& set,
                                                                const std::filesystem::path& folder,
                                                                SegmentFiles files);

}  // namespace segue
