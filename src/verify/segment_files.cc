#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "json/node.h"
#include "model/file_bytes.h"
#include "segue/error.h"
#include "segue/file.h"
#include "segue/plan.h"
#include "segue/verify.h"
#include "verify/plan_check.h"

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

bool is_same(std::span<const std::byte> bytes, const ModelImage& image) {
  if (bytes.size() != image.size_bytes()) return false;
  for (const auto piece : image.pieces()) {
    if (!std::ranges::equal(bytes.first(piece.size()), piece)) return false;
    bytes = bytes.subspan(piece.size());
  }
  return true;
}

bool holds(const fs::path& path, const ModelImage& image) {
  std::error_code absent;
  return fs::exists(path, absent) && is_same(FileBytes(path).view(), image);
}

std::vector<fs::path> segments_of(const std::optional<Plan>& plan, const fs::path& folder) {
  if (plan) return complete_set(folder, plan->model.name, plan->stages.size());
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

void check_folder(const fs::path& folder) {
  std::error_code reason;
  if (fs::is_directory(folder, reason)) return;
  throw Error(
      ErrorCode::kIo,
      fmt::format("{}: {}; give the folder that `segue split -o` wrote", folder.string(),
                  fs::exists(folder, reason) ? "is a file, not a folder" : "no such folder"));
}

std::vector<Model> read_models(std::span<const fs::path> files) {
  std::vector<Model> models;
  models.reserve(files.size());
  for (const fs::path& file : files) models.push_back(read_model(file));
  return models;
}

// Files of another split, or a plan edited since.
void check_stages(const Split& split) {
  if (!split.plan) return;
  for (std::size_t i = 0; i < split.files.size(); ++i) {
    const Stage& stage = split.plan->stages[i];
    const Model& segment = split.segments[i];
    if (segment.operators().size() == stage.operators.size() &&
        are_named(segment, segment.inputs(), stage.inputs) &&
        are_named(segment, segment.outputs(), stage.outputs))
      continue;
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: is not stage {} of the plan.json beside it (operators, or the "
                            "tensors it reads and gives); after an edit cut again: `segue split "
                            "MODEL --plan plan.json`",
                            split.files[i].string(), i));
  }
}

}  // namespace

bool is_segment_of(const Model& segment, const Model& model,
                   std::span<const OperatorId> operators) {
  return is_same(segment.bytes(), extract_segment(model, operators));
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
  // Removed before the segments they were made of: none may run with segments of another cut.
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

std::vector<fs::path> find_segments(const fs::path& folder) { return find_split(folder).files; }

SplitFiles find_split(const fs::path& folder) {
  check_folder(folder);
  SplitFiles found;
  found.plan = find_plan(folder);
  found.files = segments_of(found.plan, folder);
  return found;
}

Split read_split(const fs::path& folder) {
  Split split{find_split(folder), {}};
  split.segments = read_models(split.files);
  check_stages(split);
  return split;
}

Split read_compiled(Split split) {
  for (fs::path& file : split.files) {
    file = file.parent_path() / compiled_file_name(file.filename().string());
    std::error_code absent;
    if (fs::exists(file, absent)) continue;
    throw Error(ErrorCode::kIo, fmt::format("{}: not there; the Edge TPU runs compiled segments: "
                                            "make them with `segue compile {}`",
                                            file.string(), file.parent_path().string()));
  }
  split.segments = read_models(split.files);
  return split;
}

std::vector<std::string> notes_on_uncompiled(const Split& compiled) {
  std::vector<std::string> notes;
  for (std::size_t i = 0; i < compiled.files.size(); ++i) {
    if (is_compiled(compiled.segments[i])) continue;
    notes.push_back(
        fmt::format("{}: nothing in it is compiled for the Edge TPU; all of it runs on the "
                    "host's processor",
                    compiled.files[i].string()));
  }
  return notes;
}

}  // namespace segue
