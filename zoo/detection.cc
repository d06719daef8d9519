#include "zoo/detection.h"

#include <flatbuffers/flexbuffers.h>

#include <cmath>

namespace segue::zoo {
namespace {

constexpr std::int32_t kCoordinates = 4;

std::vector<std::uint8_t> options_of(const PostProcess& options) {
  flexbuffers::Builder builder;
  builder.Map([&] {
    builder.Int("max_detections", options.detections);
    builder.Int("max_classes_per_detection", 1);
    builder.Int("num_classes", options.classes);
    builder.Float("nms_score_threshold", static_cast<float>(options.score_threshold));
    builder.Float("nms_iou_threshold", static_cast<float>(options.iou_threshold));
    builder.Float("y_scale", static_cast<float>(options.centre_scale));
    builder.Float("x_scale", static_cast<float>(options.centre_scale));
    builder.Float("h_scale", static_cast<float>(options.extent_scale));
    builder.Float("w_scale", static_cast<float>(options.extent_scale));
    builder.Bool("use_regular_nms", false);
  });
  builder.Finish();
  return builder.GetBuffer();
}

}  // namespace

void add_anchors(Anchors& anchors, const AnchorGrid& grid, const std::vector<AnchorSize>& sizes) {
  for (std::int32_t y = 0; y < grid.height; ++y) {
    for (std::int32_t x = 0; x < grid.width; ++x) {
      for (const AnchorSize& size : sizes) {
        const double root = std::sqrt(size.ratio);
        for (const double number : {grid.offset + y * grid.stride, grid.offset + x * grid.stride,
                                    size.scale / root, size.scale * root})
          anchors.push_back(static_cast<float>(number));
      }
    }
  }
}

std::int32_t Detections::rows(ValueId x, std::int32_t columns) const {
  const Shape& shape = net_.shape(x);
  return shape.height * shape.width * shape.channels / columns;
}

void Detections::add_boxes(ValueId x, const std::string& name, bool has_unit_axis) {
  const std::int32_t count = rows(x, kCoordinates);
  if (has_unit_axis) {
    boxes_.push_back(net_.reshape(x, {count, 1, kCoordinates}, name, {1, -1, 1, kCoordinates}));
  } else {
    boxes_.push_back(net_.reshape(x, {1, count, kCoordinates, 3}, name, {1, -1, kCoordinates}));
  }
}

void Detections::add_scores(ValueId x, const std::string& name) {
  scores_.push_back(net_.reshape(x, {1, rows(x, classes_), classes_, 3}, name, {1, -1, classes_}));
}

void Detections::join_boxes() {
  ValueId x = net_.concat(boxes_, 1, "boxes");
  const Shape shape = net_.shape(x);
  if (shape.rank == 4) x = net_.reshape(x, {1, shape.height, shape.channels, 3}, "boxes/Squeeze");
  boxes_ = {net_.dequantize(x, "raw_outputs/box_encodings")};
}

void Detections::join_scores() {
  const ValueId x = net_.concat(scores_, 1, "scores");
  const ValueId sigmoid = net_.unary(OpCode::kLogistic, x, "scores/Sigmoid");
  scores_ = {net_.dequantize(sigmoid, "raw_outputs/class_predictions")};
}

void Detections::finish(const Anchors& anchors, const PostProcess& options) {
  net_.detect(boxes_.front(), scores_.front(), anchors, options_of(options), options.detections);
}

}  // namespace segue::zoo
