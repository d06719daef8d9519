// Parts that SSD-like detectors share: anchors, predictions at several levels, and the custom
// operator that turns them into boxes.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "zoo/network.h"

namespace segue::zoo {

// Centre, height and width of each anchor as shares of the image.
using Anchors = std::vector<float>;

// `scale` is the square root of an anchor's area, as a share of the image; `ratio` is width /
// height.
struct AnchorSize {
  double scale = 0;
  double ratio = 1;
};
struct AnchorGrid {
  std::int32_t height = 0;
  std::int32_t width = 0;
  double stride = 0;  // between centres, as a share of the image; the first centre is at `offset`
  double offset = 0;
};
void add_anchors(Anchors& anchors, const AnchorGrid& grid, const std::vector<AnchorSize>& sizes);

// Parameters of TFLite_Detection_PostProcess.
struct PostProcess {
  std::int32_t detections = 100;
  std::int32_t classes = 90;  // the background is class 0
  double iou_threshold = 0.6;
  double score_threshold = 0;
  double centre_scale = 10;
  double extent_scale = 5;
};

// Boxes and scores of all levels, joined as [1, anchors, 4] and [1, anchors, classes].
class Detections {
 public:
  Detections(Network& net, std::int32_t classes) : net_(net), classes_(classes) {}

  // `x` is [1, height, width, anchors * n]. `has_unit_axis`: the boxes are first written as [1,
  // anchors, 1, 4].
  void add_boxes(ValueId x, const std::string& name, bool has_unit_axis);
  void add_scores(ValueId x, const std::string& name);
  void join_boxes();
  void join_scores();
  void finish(const Anchors& anchors, const PostProcess& options);

 private:
  [[nodiscard]] std::int32_t rows(ValueId x, std::int32_t columns) const;

  Network& net_;
  std::int32_t classes_;
  std::vector<ValueId> boxes_;
  std::vector<ValueId> scores_;
};

}  // namespace segue::zoo
