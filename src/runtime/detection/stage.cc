// Decoding as a stage of a pipeline, on the host.
#include <fmt/format.h>

#include <cstring>

#include "runtime/detection/placement.h"
#include "segue/detection.h"
#include "segue/error.h"

namespace segue {
namespace {

constexpr const char* kDetections = "detections";
constexpr std::size_t kDetectionColumns = 6;  // left, top, right, bottom, score, class
constexpr float kNoClass = -1;                // of rows without a box

// Returns the placement of a picture that equals the input, so that boxes stay in the input's
// pixels.
PicturePlacement input_itself(const Port& input) {
  return {static_cast<std::uint32_t>(input.shape[2]), static_cast<std::uint32_t>(input.shape[1])};
}

class DetectionSession : public Session {
 public:
  explicit DetectionSession(std::shared_ptr<const Detector> detector)
      : detector_(std::move(detector)) {
    const std::uint32_t rows = detector_->options().max_detections;
    output_ = {kDetections,
               ElementType::kFloat32,
               {static_cast<std::int32_t>(rows), static_cast<std::int32_t>(kDetectionColumns)},
               std::uint64_t{rows} * kDetectionColumns * sizeof(float)};
  }

  [[nodiscard]] std::span<const Port> inputs() const override { return detector_->outputs(); }
  [[nodiscard]] std::span<const Port> outputs() const override { return {&output_, 1}; }

  void run_into(std::span<const std::span<const std::byte>> inputs,
                std::vector<TensorBytes>& outputs) override {
    const auto found = detector_->decode(inputs, input_itself(detector_->input()));
    std::vector<float> rows;
    for (const Detection& box : found)
      rows.insert(rows.end(), {box.left, box.top, box.right, box.bottom, box.score,
                               static_cast<float>(box.class_id)});
    while (rows.size() * sizeof(float) < output_.bytes)
      rows.insert(rows.end(), {0, 0, 0, 0, 0, kNoClass});
    outputs.resize(1);
    outputs[0].resize(output_.bytes);
    std::memcpy(outputs[0].data(), rows.data(), output_.bytes);
  }

 private:
  std::shared_ptr<const Detector> detector_;
  Port output_;
};

class DetectionBackend : public Backend {
 public:
  explicit DetectionBackend(std::shared_ptr<const Detector> detector)
      : detector_(std::move(detector)) {}
  [[nodiscard]] bool computes_on_core() const override { return true; }
  [[nodiscard]] std::string description() const override {
    return fmt::format("decoding of {} outputs", to_string(detector_->family()));
  }
  [[nodiscard]] std::unique_ptr<Session> open(std::span<const std::byte> /*model*/,
                                              const std::string& /*name*/) const override {
    return std::make_unique<DetectionSession>(detector_);
  }

 private:
  std::shared_ptr<const Detector> detector_;
};

}  // namespace

PipelineLayout with_detector(PipelineLayout layout, std::shared_ptr<const Detector> detector) {
  layout.segments.push_back({.name = "detection",
                             .model = {},
                             .owner = detector,
                             .host = std::make_shared<const DetectionBackend>(detector)});
  layout.outputs = {kDetections};
  return layout;
}

std::vector<Detection> read_detections(std::span<const std::byte> detections,
                                       const PicturePlacement& placement) {
  detection::check_placement(placement);
  constexpr float kMostClasses = 1U << 24U;  // counted exactly by a float
  constexpr std::size_t kRowBytes = kDetectionColumns * sizeof(float);
  if (detections.size() % kRowBytes != 0)
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("a value of '{}' has rows of {} bytes, but {} bytes were given",
                            kDetections, kRowBytes, detections.size()));
  std::vector<Detection> found;
  for (std::size_t at = 0; at < detections.size(); at += kRowBytes) {
    std::array<float, kDetectionColumns> row{};
    std::memcpy(row.data(), detections.data() + at, kRowBytes);
    if (!(row[5] >= 0 && row[5] < kMostClasses)) break;
    detection::add_to_picture(
        {row[0], row[1], row[2], row[3], row[4], static_cast<std::uint32_t>(row[5])}, placement,
        found);
  }
  return found;
}

}  // namespace segue
