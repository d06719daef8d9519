#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <fstream>
#include <set>

#include "json/node.h"
#include "segue/error.h"
#include "segue/file.h"
#include "segue/plan.h"
#include "segue/verify.h"

namespace segue {
namespace {

namespace fs = std::filesystem;

struct SegmentName {
  std::string stem;
  std::size_t position = 0;
  std::size_t count = 0;
};

std::optional<std::size_t> parse_count(std::string_view text) {
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// STEM_segment_I_of_N.tflite
std::optional<SegmentName> parse_segment_name(const fs::path& path) {
  if (path.extension() != ".tflite") return std::nullopt;
  constexpr std::string_view kInfix = "_segment_";
  constexpr std::string_view kOf = "_of_";
  const std::string name = path.stem().string();
  const std::size_t infix = name.rfind(kInfix);
  const std::size_t of = name.rfind(kOf);
  if (infix == std::string::npos || of == std::string::npos || of < infix + kInfix.size())
    return std::nullopt;
  const auto position =
      parse_count(std::string_view(name).substr(infix + kInfix.size(), of - infix - kInfix.size()));
  const auto count = parse_count(std::string_view(name).substr(of + kOf.size()));
  if (!position || !count || *position >= *count) return std::nullopt;
  return SegmentName{name.substr(0, infix), *position, *count};
}

std::vector<SegmentName> segments_in(const fs::path& folder) {
  std::error_code reason;
  std::vector<SegmentName> result;
  for (fs::directory_iterator entry(folder, reason), end; !reason && entry != end;
       entry.increment(reason)) {
    if (const auto name = parse_segment_name(entry->path())) result.push_back(*name);
  }
  if (reason)
    throw Error(ErrorCode::kIo,
                fmt::format("{}: cannot list the folder: {}", folder.string(), reason.message()));
  return result;
}

std::vector<fs::path> complete_set(const fs::path& folder, const std::string& stem,
                                   std::size_t count) {
  std::vector<fs::path> result;
  for (std::size_t i = 0; i < count; ++i) {
    result.push_back(folder / segment_file_name(stem, i, count));
    std::error_code unreadable;
    if (!fs::exists(result.back(), unreadable)) {
      throw Error(ErrorCode::kIo,
                  fmt::format("{}: missing; split the model again", result.back().string()));
    }
  }
  return result;
}

// plan.json would be refused with such a name.
void check_stem(const std::string& stem) {
  if (std::ranges::none_of(stem, [](unsigned char c) { return c < ' ' || c == 0x7F; })) return;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("{}: the name holds control characters; rename the model", stem));
}

void remove_file(const fs::path& path) {
  std::error_code reason;
  fs::remove(path, reason);
  if (reason)
    throw Error(ErrorCode::kIo, fmt::format("{}: cannot be removed, and is of another split: {}",
                                            path.string(), reason.message()));
}

// Whether a file holds these bytes.
bool holds(const fs::path& path, const ModelImage& image) {
  std::error_code absent;
  if (fs::file_size(path, absent) != image.size_bytes() || absent) return false;
  std::ifstream file(path, std::ios::binary);
  std::vector<char> buffer(std::size_t{1} << 16U);
  for (std::span<const std::byte> piece : image.pieces()) {
    while (!piece.empty()) {
      const std::size_t size = std::min(piece.size(), buffer.size());
      if (!file.read(buffer.data(), static_cast<std::streamsize>(size))) return false;
      if (std::memcmp(buffer.data(), piece.data(), size) != 0) return false;
      piece = piece.subspan(size);
    }
  }
  return true;
}

}  // namespace

bool is_segment_of(const Model& segment, const Model& model,
                   std::span<const OperatorId> operators) {
  const ModelImage image = extract_segment(model, operators);
  std::span<const std::byte> rest = segment.bytes();
  if (rest.size() != image.size_bytes()) return false;
  for (const auto piece : image.pieces()) {
    if (!std::ranges::equal(rest.first(piece.size()), piece)) return false;
    rest = rest.subspan(piece.size());
  }
  return true;
}

std::string compiled_file_name(const std::string& segment_file) {
  return fs::path(segment_file).stem().string() + "_edgetpu.tflite";
}

// plan.json holds the stem too, where it must be UTF-8.
std::string segment_file_name(const std::string& stem, std::size_t position, std::size_t count) {
  return fmt::format("{}_segment_{}_of_{}.tflite", json::as_written(stem), position, count);
}

std::uint64_t write_segments(const Model& model, const Segmentation& segmentation,
                             const std::string& plan_json, const fs::path& folder) {
  check_not_compiled(model);
  check_stem(model.name());
  StagedFiles files;
  std::uint64_t bytes = 0;
  const std::size_t count = segmentation.segments.size();
  std::vector<fs::path> outdated;
  for (std::size_t i = 0; i < count; ++i) {
    const ModelImage image = extract_segment(model, segmentation.segments[i]);
    const std::string name = segment_file_name(model.name(), i, count);
    const fs::path compiled = folder / compiled_file_name(name);
    std::error_code absent;
    if (fs::exists(compiled, absent) && !holds(folder / name, image)) outdated.push_back(compiled);
    files.stage(folder / name, image.pieces());
    bytes += image.size_bytes();
  }
  files.stage(folder / kPlanFile, plan_json);
  // Gone before what they were made of is: nobody shall run the one with the other.
  for (const fs::path& path : outdated) remove_file(path);
  files.commit();
  return bytes;
}

std::size_t count_other_segments(const fs::path& folder, const std::string& stem,
                                 std::size_t count) {
  std::error_code absent;
  if (!fs::is_directory(folder, absent)) return 0;
  const auto is_other = [&](const SegmentName& name) {
    return name.stem != json::as_written(stem) || name.count != count;
  };
  return static_cast<std::size_t>(std::ranges::count_if(segments_in(folder), is_other));
}

std::uint64_t write_segments(const Model& model, Plan plan, const fs::path& folder) {
  identify_model(plan, model);
  return write_segments(model, segmentation_of(plan), to_json(plan), folder);
}

std::optional<Plan> find_plan(const fs::path& folder) {
  std::error_code reason;
  if (!fs::exists(folder / kPlanFile, reason) && !reason) return std::nullopt;
  return read_plan(folder / kPlanFile);
}

std::vector<fs::path> find_segments(const fs::path& folder) {
  std::error_code reason;
  if (!fs::is_directory(folder, reason)) {
    throw Error(
        ErrorCode::kIo,
        fmt::format("{}: {}; give the folder that `segue split -o` wrote", folder.string(),
                    fs::exists(folder, reason) ? "is a file, not a folder" : "no such folder"));
  }
  if (const auto plan = find_plan(folder))
    return complete_set(folder, plan->model.name, plan->stages.size());
  std::set<std::pair<std::string, std::size_t>> sets;
  for (const SegmentName& name : segments_in(folder)) sets.emplace(name.stem, name.count);
  if (sets.empty()) {
    throw Error(ErrorCode::kIo,
                fmt::format("{}: no segment files (NAME_segment_I_of_N.tflite); `segue split` "
                            "writes them",
                            folder.string()));
  }
  if (sets.size() > 1) {
    throw Error(
        ErrorCode::kIo,
        fmt::format("{}: segments of {} different splits and no plan.json that says which one "
                    "counts; keep one split per folder",
                    folder.string(), sets.size()));
  }
  return complete_set(folder, sets.begin()->first, sets.begin()->second);
}

}  // namespace segue
