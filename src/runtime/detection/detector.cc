#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "runtime/detection/candidates.h"
#include "runtime/detection/family.h"
#include "runtime/detection/placement.h"
#include "runtime/internal/inputs.h"
#include "runtime/picture.h"
#include "segue/detection.h"
#include "segue/error.h"
#include "segue/file.h"
#include "segue/units.h"

namespace segue {

using detection::Fit;
using detection::Head;
using detection::HeadOutput;
using detection::Meaning;

struct Detector::State {
  State(Head described, const DetectorOptions& given)
      : options(given), head(std::move(described)), meaning(detection::recognise(head, options)) {
    for (const HeadOutput& output : head.outputs) outputs.push_back(output.port);
  }

  [[nodiscard]] bool is_yolo() const {
    return meaning.family == DetectorFamily::kYolov5 || meaning.family == DetectorFamily::kYolov8;
  }
  [[nodiscard]] Fit fit() const { return is_yolo() ? Fit::kLetterbox : Fit::kStretch; }
  void check_values(std::span<const std::span<const std::byte>> values) const;

  DetectorOptions options;
  Head head;
  Meaning meaning;
  std::vector<Port> outputs;
};

namespace {

[[noreturn]] void refuse_call(const std::string& reason) {
  throw Error(ErrorCode::kInvalidArgument, reason);
}

const DetectorOptions& checked(const DetectorOptions& options) {
  constexpr std::uint32_t kMostDetections = 10'000;
  if (!(options.score_threshold >= 0 && options.score_threshold <= 1))
    refuse_call(fmt::format("the score threshold is {}; give 0 to 1", options.score_threshold));
  if (!(options.iou_threshold > 0 && options.iou_threshold <= 1))
    refuse_call(
        fmt::format("the threshold of the intersection over union is {}; give more than 0 and "
                    "at most 1",
                    options.iou_threshold));
  if (options.max_detections == 0 || options.max_detections > kMostDetections)
    refuse_call(fmt::format("the number of detections is {}; give 1 to {}", options.max_detections,
                            kMostDetections));
  return options;
}

}  // namespace

void Detector::State::check_values(std::span<const std::span<const std::byte>> values) const {
  if (values.size() != outputs.size())
    refuse_call(fmt::format("{}: {} given, but the detector has {}", head.model,
                            format_count(values.size(), "output"), outputs.size()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i].size() == outputs[i].bytes) continue;
    refuse_call(fmt::format("{}: output '{}' has {} bytes, but {} were given", head.model,
                            outputs[i].name, outputs[i].bytes, values[i].size()));
  }
}

Picture read_picture(const std::filesystem::path& path) {
  constexpr std::uint64_t kLargest = 256U << 20U;
  constexpr int kChannels = 3;
  const std::string file = read_text_file(path, kLargest);
  if (is_truncated_picture(file))
    refuse_call(fmt::format("{}: the image is truncated at {} bytes; fetch it again", path.string(),
                            file.size()));
  auto pixels = decode_picture(file, kChannels);
  if (!pixels)
    refuse_call(
        fmt::format("{}: no picture that Segue reads (PNG, JPEG, BMP, GIF or PPM, at most {} x "
                    "{} pixels)",
                    path.string(), kMostPictureExtent, kMostPictureExtent));
  return {static_cast<std::uint32_t>(pixels->width), static_cast<std::uint32_t>(pixels->height),
          std::move(pixels->values)};
}

Detector::Detector(const Model& model, const DetectorOptions& options)
    : state_(std::make_unique<const State>(detection::head_of(model), checked(options))) {}
Detector::Detector(const PipelineLayout& layout, const DetectorOptions& options)
    : state_(std::make_unique<const State>(detection::head_of(layout), checked(options))) {}
Detector::Detector(Detector&& other) noexcept = default;
Detector& Detector::operator=(Detector&& other) noexcept = default;
Detector::~Detector() = default;

DetectorFamily Detector::family() const { return state_->meaning.family; }
DecodingWork Detector::work() const {
  const auto [boxes, scores] =
      std::visit([&](const auto& outputs) { return detection::sizes_of(outputs, state_->head); },
                 state_->meaning.outputs);
  return {family(), boxes, scores};
}
const DetectorOptions& Detector::options() const { return state_->options; }
const Port& Detector::input() const { return state_->head.input; }
std::span<const Port> Detector::outputs() const { return state_->outputs; }

PreparedPicture Detector::prepare(std::span<const std::uint8_t> rgb, std::uint32_t width,
                                  std::uint32_t height) const {
  const Port& input = this->input();
  PreparedPicture prepared{{}, detection::place(width, height, input, state_->fit())};
  const std::size_t bytes = std::size_t{width} * height * 3;
  if (rgb.size() != bytes)
    refuse_call(fmt::format("a picture of {} x {} pixels has {} bytes, but {} were given", width,
                            height, bytes, rgb.size()));
  const auto pixels = detection::fill_input(rgb, prepared.placement, input, state_->fit());
  prepared.input = picture_tensor(
      pixels, input, state_->is_yolo() ? FloatPixels::kFrom0To1 : FloatPixels::kFromMinus1To1);
  return prepared;
}

std::vector<Detection> Detector::decode(std::span<const std::span<const std::byte>> outputs,
                                        const PicturePlacement& placement) const {
  state_->check_values(outputs);
  detection::check_placement(placement);
  auto found = detection::find_candidates(state_->head, state_->meaning,
                                          state_->options.score_threshold, outputs);
  // If the model has suppressed overlapping boxes itself, its boxes are kept.
  const bool is_done = family() == DetectorFamily::kPostProcessed;
  constexpr float kNoThreshold = std::numeric_limits<float>::infinity();
  const auto boxes = detection::suppress(std::move(found.boxes),
                                         is_done ? kNoThreshold : state_->options.iou_threshold,
                                         state_->options.max_detections);
  std::vector<Detection> detections;
  for (const detection::Candidate& box : boxes) {
    const Detection in_input{box.left * found.unit_width,
                             box.top * found.unit_height,
                             box.right * found.unit_width,
                             box.bottom * found.unit_height,
                             box.score,
                             box.class_id};
    detection::add_to_picture(in_input, placement, detections);
  }
  return detections;
}

std::vector<Detection> Detector::decode(std::span<const TensorBytes> outputs,
                                        const PicturePlacement& placement) const {
  const std::vector<std::span<const std::byte>> values(outputs.begin(), outputs.end());
  return decode(std::span<const std::span<const std::byte>>(values), placement);
}

}  // namespace segue
