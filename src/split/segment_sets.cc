#include "split/segment_sets.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "segue/error.h"
#include "segue/units.h"

namespace segue {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kInfix = "_segment_";
constexpr std::string_view kOf = "_of_";

std::optional<std::size_t> parse_count(std::string_view text) {
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if (text.size() > 1 && text[0] == '0') return std::nullopt;  // tools do not write "01"
  return number;
}

// `position`: a number, or a letter as a placeholder.
std::string file_name(const SegmentSet& set, std::string_view position, bool is_compiled) {
  return fmt::format("{}{}{}{}{}{}.tflite", set.stem, kInfix, position, kOf, set.count,
                     is_compiled ? kCompiledSuffix : "");
}

std::string pattern(const SegmentSet& set) { return file_name(set, "I", set.cut.empty()); }

bool is_complete(const SegmentSet& set, bool is_compiled) {
  return (is_compiled ? set.compiled : set.cut).size() == set.count;
}

[[noreturn]] void fail_missing(const SegmentSet& set, const fs::path& folder, bool is_compiled) {
  constexpr std::size_t kNamed = 3;
  const auto& present = is_compiled ? set.compiled : set.cut;
  std::vector<std::string> missing;
  for (std::size_t i = 0; i < set.count && missing.size() < kNamed; ++i) {
    if (!present.contains(i))
      missing.push_back((folder / file_name(set, std::to_string(i), is_compiled)).string());
  }
  const std::size_t more = set.count - present.size() - missing.size();
  const std::string remedy =
      is_compiled && is_complete(set, false)
          ? fmt::format("Edge TPUs need compiled segments: run `segue compile {}`", folder.string())
          : fmt::format(
                "only {} of {} exist; copy the other{} to the folder, or split the model again",
                present.size(), format_count(set.count, "segment"),
                set.count - present.size() == 1 ? "" : "s");
  throw Error(ErrorCode::kIo,
              fmt::format("{}{}: file not found; {}", fmt::join(missing, ", "),
                          more == 0 ? "" : fmt::format(" and {} more", more), remedy));
}

}  // namespace

std::optional<SegmentName> parse_segment_name(const fs::path& path) {
  if (path.extension() != ".tflite") return std::nullopt;
  std::string name = path.stem().string();
  SegmentName result;
  result.is_compiled = name.ends_with(kCompiledSuffix);
  if (result.is_compiled) name.resize(name.size() - kCompiledSuffix.size());
  const std::size_t infix = name.rfind(kInfix);
  const std::size_t of = name.rfind(kOf);
  if (infix == std::string::npos || of == std::string::npos || of < infix + kInfix.size())
    return std::nullopt;
  const auto position =
      parse_count(std::string_view(name).substr(infix + kInfix.size(), of - infix - kInfix.size()));
  const auto count = parse_count(std::string_view(name).substr(of + kOf.size()));
  if (!position || !count || *position >= *count) return std::nullopt;
  result.stem = name.substr(0, infix);
  result.position = *position;
  result.count = *count;
  return result;
}

std::vector<SegmentSet> segment_sets(const fs::path& folder) {
  std::error_code reason;
  std::map<std::pair<std::string, std::size_t>, SegmentSet> sets;
  for (fs::directory_iterator entry(folder, reason), end; !reason && entry != end;
       entry.increment(reason)) {
    const auto name = parse_segment_name(entry->path());
    if (!name) continue;
    SegmentSet& set = sets[{name->stem, name->count}];
    set.stem = name->stem;
    set.count = name->count;
    (name->is_compiled ? set.compiled : set.cut)[name->position] = entry->path();
  }
  if (reason)
    throw Error(ErrorCode::kIo,
                fmt::format("{}: cannot list the folder: {}", folder.string(), reason.message()));
  std::vector<SegmentSet> result;
  for (auto& [key, set] : sets) result.push_back(std::move(set));
  return result;
}

const SegmentSet& only_set(const std::vector<SegmentSet>& sets, const fs::path& folder) {
  if (sets.size() == 1) return sets[0];
  if (sets.empty()) {
    throw Error(ErrorCode::kIo,
                fmt::format("{}: no segment files (NAME_segment_I_of_N.tflite, or "
                            "NAME_segment_I_of_N_edgetpu.tflite); `segue split` writes them",
                            folder.string()));
  }
  std::vector<std::string> names;
  std::ranges::transform(sets, std::back_inserter(names), pattern);
  const SegmentSet& first = sets[0];
  const fs::path& example = (first.cut.empty() ? first.compiled : first.cut).begin()->second;
  throw Error(ErrorCode::kIo,
              fmt::format("{}: segments of {} different splits ({}), and no plan.json that selects "
                          "one; name a file of one split instead of the folder, for example {}",
                          folder.string(), sets.size(), fmt::join(names, ", "), example.string()));
}

std::vector<fs::path> complete_files(const SegmentSet& set, const fs::path& folder,
                                     SegmentFiles files) {
  if (files == SegmentFiles::kCut && set.cut.empty() && !set.compiled.empty()) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("{}: the segments are compiled ({}) and run only on Edge TPUs (--backend "
                    "edgetpu, segue.edgetpu_backend); other uses need the original segments ({})",
                    folder.string(), file_name(set, "I", true), file_name(set, "I", false)));
  }
  const bool is_compiled =
      files == SegmentFiles::kCompiled ||
      (files == SegmentFiles::kAny && !is_complete(set, false) && !set.compiled.empty());
  if (!is_complete(set, is_compiled)) fail_missing(set, folder, is_compiled);
  std::vector<fs::path> result;
  for (const auto& [position, path] : is_compiled ? set.compiled : set.cut) result.push_back(path);
  return result;
}

}  // namespace segue
