#include "cli/detect.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>

#include "cli/classes.h"
#include "cli/draw.h"
#include "cli/written.h"
#include "segue/error.h"

namespace segue::cli {
namespace {

std::optional<DetectorFamily> family_of(const std::string& key) {
  if (key.empty()) return std::nullopt;
  return parse_detector_family(key);
}

DetectorOptions detector_options(const RunOptions& options) {
  DetectorOptions result;
  result.score_threshold = options.score;
  result.family = family_of(options.family);
  return result;
}

}  // namespace

void add_family(CLI::App& command, std::string& family) {
  std::vector<std::string> keys;
  for (const DetectorFamilyName& known : kDetectorFamilies) keys.emplace_back(known.key);
  command
      .add_option("--family", family,
                  "How the outputs are to be read, if --detect does not recognise them")
      ->check(CLI::IsMember(keys));
}

void add_decoding(CLI::App& command, DecodingOptions& options) {
  CLI::Option* detects = command.add_flag(
      "--detect", options.detects,
      "Include the decoding of an object detector's outputs on the host (SSD, EfficientDet, YOLO) "
      "in times and goals, as `segue run --detect` does it");
  add_family(command, options.family);
  command.get_option("--family")->needs(detects);
}

std::optional<DecodingWork> decoding_of(const Model& model, const DecodingOptions& options) {
  if (!options.detects) return std::nullopt;
  return Detector(model, {.family = family_of(options.family)}).work();
}

void add_detection(CLI::App& command, RunOptions& options) {
  command.add_flag(
      "--detect", options.detects,
      "Decode the outputs of an object detector (SSD, EfficientDet, YOLO) on the host, "
      "and print the boxes in each picture; --labels names their classes");
  command.add_option("--score", options.score, "Lowest score of a box (default 0.25)")
      ->check(CLI::Range(0.0, 1.0));
  command.add_option(
      "--draw", options.picture,
      std::string("Also draw the boxes into the picture, and write it to this file, NAME.png") +
          kReplaces);
  add_family(command, options.family);
}

void check_detection(const CLI::App& command, const RunOptions& options) {
  const auto refuse = [](const std::string& reason) {
    throw Error(ErrorCode::kInvalidArgument, reason);
  };
  for (const char* option : {"--score", "--draw", "--family"}) {
    if (command.count(option) > 0 && !options.detects)
      refuse(fmt::format("{} requires --detect", option));
  }
  if (!options.detects) return;
  if (options.files.empty()) refuse("--detect requires --input with a picture");
  if (options.format.csv) refuse("--detect is not available with --csv; use --json or text");
  const std::string ending = std::filesystem::path(options.picture).extension().string();
  if (!options.picture.empty() && CLI::detail::to_lower(ending) != ".png")
    refuse(fmt::format("--draw {}: the picture is written as PNG; name it .png", options.picture));
  if (!options.picture.empty() && options.files.size() > 1)
    refuse(fmt::format("--draw writes one picture, but --input names {}", options.files.size()));
}

DetectionRun::DetectionRun(const RunOptions& options, PipelineLayout& layout)
    : options_(options),
      detector_(std::make_shared<const Detector>(layout, detector_options(options))),
      placements_(options.files.size()) {
  if (!options.labels.empty()) labels_ = read_labels(options.labels);
  layout = with_stage(std::move(layout));
}

std::vector<TensorBytes> DetectionRun::prepare(const std::string& file, std::uint64_t number) {
  PreparedPicture prepared = detector_->prepare(read_picture(file));
  // Later rounds over the same files have the same placements, and `take` may read them already.
  if (number < placements_.size()) placements_[number] = prepared.placement;
  std::vector<TensorBytes> inputs;
  inputs.push_back(std::move(prepared.input));
  return inputs;
}

DetectedInput DetectionRun::take(const std::string& file, const PipelineResult& result) {
  const PicturePlacement& placement = placements_[result.number];
  DetectedInput detected{file, placement.width, placement.height, {}};
  for (const Detection& box : read_detections(result.outputs[0], placement)) {
    const bool has_label = box.class_id < labels_.size() && !labels_[box.class_id].empty();
    detected.boxes.push_back({box, has_label ? labels_[box.class_id] : ""});
  }
  if (!options_.picture.empty()) draw_detections(options_.picture, read_picture(file), detected);
  return detected;
}

}  // namespace segue::cli
