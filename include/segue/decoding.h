/// Families of object detectors, and the time that the host takes to decode their outputs.
///
/// detection.h decodes the outputs of a detector to boxes, with non-maximum suppression. The
/// functions below predict the time of that work for plans, timelines and comparisons:
///
///     time = (fixed + boxes * box_ns + scores * score_ns) * host_slowdown
///
/// The constants of each family were measured on one core of a desktop computer, for a picture with
/// 100 boxes above the score threshold (docs/cost-model.md, "Decoding of detectors"). As for
/// operators on the host, the range is a factor of three on either side (kHostOperatorFactors).
///
/// Example:
///
///     const segue::Model model = segue::open_model("zoo:yolov8n@320");
///     const segue::DecodingWork work = segue::Detector(model).work();
///     const segue::Decoding decoding =
///         segue::decoding_on(work, segue::open_devices("edgetpu-usb3-pi4", 2));
///     std::printf("%s\n", segue::format_time(decoding.time).c_str());
///
/// Thread-safety: all functions are pure.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "segue/cost.h"
#include "segue/device.h"
#include "segue/units.h"

namespace [[gnu::visibility("default")]] segue {

/// The format in which a model writes its boxes; detection.h describes each format.
enum class DetectorFamily { kPostProcessed, kSsd, kEfficientDet, kYolov5, kYolov8 };

/// A family with its key in options and files, and its name in texts.
struct DetectorFamilyName {
  DetectorFamily family{};
  std::string_view key;
  std::string_view name;
};
inline constexpr std::array kDetectorFamilies{
    DetectorFamilyName{DetectorFamily::kPostProcessed, "post-processed", "post-processed"},
    DetectorFamilyName{DetectorFamily::kSsd, "ssd", "SSD"},
    DetectorFamilyName{DetectorFamily::kEfficientDet, "efficientdet", "EfficientDet"},
    DetectorFamilyName{DetectorFamily::kYolov5, "yolov5", "YOLOv5"},
    DetectorFamilyName{DetectorFamily::kYolov8, "yolov8", "YOLOv8"}};

/// Returns the name of a family.
[[nodiscard]] std::string_view to_string(DetectorFamily family);
/// Returns the family of a key or name. Throws Error(kInvalidArgument) with all keys for any other
/// text.
[[nodiscard]] DetectorFamily parse_detector_family(std::string_view text);

/// The size of the outputs for one picture that decoding reads (Detector::work).
struct DecodingWork {
  DetectorFamily family{};
  std::uint64_t boxes = 0;   // rows of the outputs: anchors, cells, or boxes after suppression
  std::uint64_t scores = 0;  // boxes times classes, without the background
  friend bool operator==(const DecodingWork&, const DecodingWork&) = default;
};

/// Decoding as a stage of the host: one input at a time, on one core.
struct Decoding {
  DecodingWork work;
  Nanoseconds time{0};  // of one picture
  TimeRange range = {};
  friend bool operator==(const Decoding&, const Decoding&) = default;
};

/// Returns the time of decoding on the host of these devices. If the kinds of devices describe the
/// host differently, the slowest description counts. Throws Error(kInvalidArgument) without pools.
[[nodiscard]] Decoding decoding_on(const DecodingWork& work, std::span<const DevicePool> pools);

}  // namespace segue
