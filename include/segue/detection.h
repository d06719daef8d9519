/// Object detection: pictures in, boxes with scores and classes out.
///
/// A `Detector` knows what the input and the outputs of a model mean. `prepare` turns a picture
/// into the model's input; `decode` turns the model's outputs into boxes in pixels of the picture,
/// with non-maximum suppression where the model does not contain it. `with_detector` adds the
/// decoding to a pipeline as its last stage, on the host: it overlaps with the devices, which
/// compute later pictures meanwhile, and its time is part of the pipeline's statistics.
///
/// Recognised outputs, for N boxes or anchors and C classes, in float32, or int8 or uint8 with one
/// scale:
///  - kPostProcessed: the four outputs of the operator TFLite_Detection_PostProcess, in any order.
///    The model itself suppresses boxes.
///  - kSsd: boxes [1, N, 4] or [1, N, 1, 4], and scores [1, N, C] with the background as class 0,
///    without that operator. Boxes are offsets from anchors, coded by 10, 10, 5 and 5.
///  - kEfficientDet: the same without background, and offsets that are not scaled. For both
///    families also [1, H, W, 4 * A] and [1, H, W, C * A] for each of the levels 3 to 7.
///  - kYolov5: [1, N, 5 + C], where N is 3 times the number of cells of the input's grids. YOLOv7
///    has the same form.
///  - kYolov8: [1, 4 + C, N], where N is the number of cells. YOLOv9 and YOLO11 have the same form.
///
/// The grids have strides of 8, 16 and 32 pixels, with 64 and with 4 in larger variants. Centres
/// and sizes of YOLO are in pixels of the input or relative to it; relative if no centre exceeds 2.
/// Scores of SSD and EfficientDet are taken as logits unless LOGISTIC or SOFTMAX computes them.
///
/// Results equal those of the references: ultralytics' non_max_suppression (one class per box) for
/// YOLO, TFLite_Detection_PostProcess with regular suppression (any number of classes per box) for
/// SSD and EfficientDet. Two differences: boxes that are not finite or have a negative size are
/// left out, and boxes of different classes are never compared, while ultralytics moves the classes
/// apart by 7680 pixels in float32, which rounds overlaps of high classes.
///
/// Example, with a Session `session` of the same model (runtime.h):
///
///     const segue::Detector detector(segue::read_model("yolov8n.tflite"));
///     const auto prepared = detector.prepare(segue::read_picture("street.png"));
///     const std::array<std::span<const std::byte>, 1> inputs{prepared.input};
///     for (const auto& box : detector.decode(session->run(inputs), prepared.placement))
///       std::printf("%u %.2f at (%.0f, %.0f)\n", box.class_id, box.score, box.left, box.top);
///
/// Thread-safety: a Detector is immutable; any number of threads may use it. All functions are
/// pure, except read_picture, which reads a file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "segue/decoding.h"
#include "segue/model.h"
#include "segue/pipeline.h"
#include "segue/runtime.h"

namespace [[gnu::visibility("default")]] segue {

// --- Pictures

/// A picture in memory.
struct Picture {
  std::uint32_t width = 0;        // pixels
  std::uint32_t height = 0;       // pixels
  std::vector<std::uint8_t> rgb;  // [height, width, 3], from top left, row by row
};

/// Reads a picture: PNG, JPEG, BMP, GIF (its first frame) or PPM, at most 16384 pixels wide and
/// high. Transparency is ignored, grey becomes RGB, and 16-bit values are reduced to their upper
/// byte. The picture is rotated and mirrored according to the EXIF orientation of a JPEG or PNG.
/// Throws Error(kIo) when the file cannot be read, and Error(kInvalidArgument) when it is truncated
/// or has another format.
[[nodiscard]] Picture read_picture(const std::filesystem::path& path);

/// The position of a picture in the input of a model: its point x is at left + scale_x * x.
struct PicturePlacement {
  std::uint32_t width = 0;  // of the picture, in its pixels
  std::uint32_t height = 0;
  double scale_x = 1;  // pixels of the input per pixel of the picture
  double scale_y = 1;
  double left = 0;  // of the picture, in pixels of the input
  double top = 0;
};

/// The input of a model, and how it was made.
struct PreparedPicture {
  TensorBytes input;
  PicturePlacement placement;
};

// --- Boxes

/// A detected object.
struct Detection {
  float left = 0;  // pixels of the picture, within it; left <= right and top <= bottom
  float top = 0;
  float right = 0;
  float bottom = 0;
  float score = 0;             // 0 to 1
  std::uint32_t class_id = 0;  // counted from 0, without the background
};

// --- Detectors

/// A reference box of SSD or EfficientDet, relative to the model's input.
struct Anchor {
  float y = 0;  // centre
  float x = 0;
  float height = 0;
  float width = 0;
};

/// Settings of a detector. The defaults are those of YOLOv5.
struct DetectorOptions {
  // Lowest score, 0 to 1. A score that equals it counts for SSD and EfficientDet and does not for
  // YOLO, as in the references.
  float score_threshold = 0.25F;
  // Above this intersection over union, above 0 and at most 1, the box with the lower score is left
  // out. Without effect on kPostProcessed.
  float iou_threshold = 0.45F;
  std::uint32_t max_detections = 100;  // per picture; 1 to 10,000
  // For outputs that are not recognised, or that more than one family has.
  std::optional<DetectorFamily> family = {};
  // One per row of the outputs. Empty: those of TensorFlow's models for the size of the input. SSD:
  // six layers (MobileNet v1, v2, MobileDet), or levels 3 to 7 with two scales (FPN, RetinaNet).
  // EfficientDet: three scales per level; the size is 3 strides for inputs of 320, 384, 448 and
  // 640 pixels (Lite 0 to 2 and 3x; Lite 4 has 640 pixels and 4 strides, so give its anchors) and 4
  // strides otherwise.
  std::vector<Anchor> anchors = {};
};

/// Decodes the outputs of a model.
class Detector {
 public:
  /// Recognises the outputs of a model, in the model's order. Throws Error(kUnsupported) with the
  /// shapes seen and those expected, or when the model's input is not a picture ([1, H, W, 3],
  /// uint8, int8 or float32); Error(kInvalidArgument) for settings out of range.
  explicit Detector(const Model& model, const DetectorOptions& options = {});
  /// The same for segments, with the outputs in the order of the pipeline's. They may be compiled.
  explicit Detector(const PipelineLayout& layout, const DetectorOptions& options = {});
  Detector(Detector&& other) noexcept;
  Detector& operator=(Detector&& other) noexcept;
  Detector(const Detector&) = delete;
  Detector& operator=(const Detector&) = delete;
  ~Detector();

  [[nodiscard]] DetectorFamily family() const;
  /// Returns the size of the outputs that `decode` reads, to predict its time (decoding.h).
  [[nodiscard]] DecodingWork work() const;
  [[nodiscard]] const DetectorOptions& options() const;
  /// The model's input: [1, H, W, 3].
  [[nodiscard]] const Port& input() const;
  /// The model's outputs, in the order in which `decode` takes their values.
  [[nodiscard]] std::span<const Port> outputs() const;

  /// Resizes a picture to the model's input, with averaging where it becomes smaller. YOLO: the
  /// picture keeps its shape and is centred in a grey input, as in ultralytics' LetterBox. Others:
  /// the picture fills the input. Pixels 0 to 255 become the whole range of 8-bit inputs; in
  /// floats, [0, 1] for YOLO and [-1, 1] for others. Throws Error(kInvalidArgument) for an empty
  /// picture, one of more than 16384 pixels on a side, or a wrong number of bytes.
  [[nodiscard]] PreparedPicture prepare(std::span<const std::uint8_t> rgb, std::uint32_t width,
                                        std::uint32_t height) const;
  [[nodiscard]] PreparedPicture prepare(const Picture& picture) const {
    return prepare(picture.rgb, picture.width, picture.height);
  }

  /// Returns the boxes in descending order of score. Boxes with equal scores keep the order of the
  /// outputs. Of more than 30,000 candidates, those with the highest scores are
  /// considered. O(N * C + k * max_detections) for k candidates. Throws Error(kInvalidArgument)
  /// when the number or sizes of the values are wrong, and for a placement without extent.
  [[nodiscard]] std::vector<Detection> decode(std::span<const std::span<const std::byte>> outputs,
                                              const PicturePlacement& placement) const;
  [[nodiscard]] std::vector<Detection> decode(std::span<const TensorBytes> outputs,
                                              const PicturePlacement& placement) const;

 private:
  struct State;
  std::unique_ptr<const State> state_;
};

// --- Detection in a pipeline

/// Returns the layout with decoding as an additional last stage (PipelineSegment::host). The
/// pipeline then has one output, "detections": float32 [max_detections, 6], which read_detections
/// reads. A layout that PipelineOptions::replan returns needs the stage too.
[[nodiscard]] PipelineLayout with_detector(PipelineLayout layout,
                                           std::shared_ptr<const Detector> detector);

/// Returns the boxes of a value of "detections", in pixels of the picture, without boxes that are
/// outside of it. Throws Error(kInvalidArgument) when the value has another size than rows of six
/// floats, and for a placement without extent.
[[nodiscard]] std::vector<Detection> read_detections(std::span<const std::byte> detections,
                                                     const PicturePlacement& placement);

}  // namespace segue
