#include <fmt/format.h>

#include <algorithm>

#include "base/internal/json/node.h"
#include "model/internal/file_bytes.h"
#include "segue/error.h"
#include "segue/file.h"
#include "segue/plan.h"
#include "segue/verify.h"
#include "split/borders.h"
#include "split/plan_check.h"
#include "split/segment_sets.h"

namespace segue {
namespace {

namespace fs = std::filesystem;

// Throws for a name that a reader of plan.json would refuse.
void check_stem(const std::string& stem) {
  if (std::ranges::none_of(stem, [](unsigned char c) { return c < ' ' || c == 0x7F; })) return;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("{}: the name contains control characters; rename the model", stem));
}

void remove_file(const fs::path& path) {
  std::error_code reason;
  fs::remove(path, reason);
  if (reason)
    throw Error(ErrorCode::kIo, fmt::format("{}: cannot remove this segment of another split: {}",
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

// The folder of the segments. If the caller named a file, `named` describes its set.
struct Source {
  fs::path folder;
  std::optional<SegmentName> named;
};

Source source_of(const fs::path& path) {
  std::error_code reason;
  if (fs::is_directory(path, reason)) return {path, std::nullopt};
  const bool exists = fs::exists(path, reason);
  if (auto name = exists ? parse_segment_name(path) : std::nullopt)
    return {path.has_parent_path() ? path.parent_path() : fs::path("."), std::move(name)};
  if (exists && path.extension() == ".tflite" && !path.stem().string().ends_with(kCompiledSuffix)) {
    throw Error(ErrorCode::kIo,
                fmt::format("{0}: is not named as a segment; split the model first (`segue split "
                            "{0} --tpus 2 -o DIR`) and give the folder",
                            path.string()));
  }
  throw Error(ErrorCode::kIo,
              fmt::format("{}: {}; give the folder that `segue split` wrote", path.string(),
                          exists ? "is a file, not a folder" : "no such folder"));
}

// Chooses a set of segments. The plan.json in the folder counts only if it belongs to the chosen
// set.
SegmentSet choose_set(const Source& source, std::optional<Plan>& plan) {
  const auto sets = segment_sets(source.folder);
  const auto find = [&](const std::string& stem, std::size_t count) {
    const auto found = std::ranges::find_if(
        sets, [&](const SegmentSet& set) { return set.stem == stem && set.count == count; });
    return found == sets.end() ? SegmentSet{stem, count, {}, {}} : *found;
  };
  const auto is_planned = [&](const SegmentName& name) {
    return name.stem == json::as_written(plan->model.name) && name.count == plan->stages.size();
  };
  if (source.named) {
    if (plan && !is_planned(*source.named)) plan.reset();
    return find(source.named->stem, source.named->count);
  }
  if (plan) return find(json::as_written(plan->model.name), plan->stages.size());
  return only_set(sets, source.folder);
}

std::vector<Model> read_models(std::span<const fs::path> files) {
  std::vector<Model> models;
  models.reserve(files.size());
  for (const fs::path& file : files) models.push_back(read_model(file));
  return models;
}

// Whether the segment is the compiled form of the stage. The compiler keeps names, but neither the
// operators nor the order of the outputs.
bool is_compiled_stage(const Model& segment, const Stage& stage) {
  if (!is_compiled(segment)) return false;
  const auto have_same_names = [&](std::span<const TensorId> tensors,
                                   std::span<const std::string> names) {
    return tensors.size() == names.size() &&
           std::ranges::all_of(names, [&](const std::string& name) {
             return std::ranges::any_of(tensors, [&](const TensorId& id) {
               return are_named(segment, std::span(&id, 1), std::span(&name, 1));
             });
           });
  };
  return have_same_names(segment.inputs(), stage.inputs) &&
         have_same_names(segment.outputs(), stage.outputs);
}

// Throws if the files are from another split, or if the plan was edited after the split.
void check_stages(const Split& split) {
  if (!split.plan) return;
  for (std::size_t i = 0; i < split.files.size(); ++i) {
    const Stage& stage = split.plan->stages[i];
    const Model& segment = split.segments[i];
    if (segment.operators().size() == stage.operators.size() &&
        are_named(segment, segment.inputs(), stage.inputs) &&
        are_named(segment, segment.outputs(), stage.outputs))
      continue;
    if (is_compiled_stage(segment, stage)) continue;
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format(
            "{}: does not match stage {} of plan.json in the same folder (its operators, inputs or "
            "outputs differ); re-run `segue split MODEL --plan plan.json` after editing the plan",
            split.files[i].string(), i));
  }
}

}  // namespace

bool is_segment_of(const Model& segment, const Model& model,
                   std::span<const OperatorId> operators) {
  return is_same(segment.bytes(), extract_segment(model, operators));
}

std::string compiled_file_name(const std::string& segment_file) {
  return fs::path(segment_file).stem().string() + std::string(kCompiledSuffix) + ".tflite";
}

// Converts the stem to UTF-8, because plan.json holds it too.
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
  // Removes outdated compiled segments before the new segments are written, because they must not
  // run together with segments of another cut.
  for (const fs::path& path : outdated) remove_file(path);
  files.commit();
  return bytes;
}

std::size_t count_other_segments(const fs::path& folder, const std::string& stem,
                                 std::size_t count) {
  std::error_code absent;
  if (!fs::is_directory(folder, absent)) return 0;
  std::size_t others = 0;
  for (const SegmentSet& set : segment_sets(folder)) {
    if (set.stem != json::as_written(stem) || set.count != count) others += set.cut.size();
  }
  return others;
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

SplitFiles find_split(const fs::path& path, SegmentFiles files) {
  const Source source = source_of(path);
  SplitFiles found;
  found.plan = find_plan(source.folder);
  const SegmentSet set = choose_set(source, found.plan);
  if (files == SegmentFiles::kAny && source.named)
    files = source.named->is_compiled ? SegmentFiles::kCompiled : SegmentFiles::kCut;
  found.files = complete_files(set, source.folder, files);
  return found;
}

Split read_split(const fs::path& path, SegmentFiles files) {
  Split split{find_split(path, files), {}};
  split.segments = read_models(split.files);
  check_stages(split);
  check_borders(split.segments, split.files, split.plan.has_value());
  return split;
}

std::vector<std::string> notes_on_uncompiled(const Split& compiled) {
  std::vector<std::string> notes;
  for (std::size_t i = 0; i < compiled.files.size(); ++i) {
    if (is_compiled(compiled.segments[i])) continue;
    notes.push_back(
        fmt::format("{}: not compiled for the Edge TPU; it runs completely on the host CPU",
                    compiled.files[i].string()));
  }
  return notes;
}

}  // namespace segue
