// Operators of a Network that move, combine or rescale tensors.
#include <algorithm>
#include <utility>

#include "zoo/network.h"

namespace segue::zoo {
namespace {

// Returns the shape with these extents, the first of which must be 1.
Shape shape_of(const std::vector<std::int32_t>& extents) {
  Shape shape{.rank = static_cast<std::int32_t>(extents.size())};
  if (shape.rank > 1) shape.channels = extents.back();
  if (shape.rank > 2) shape.width = extents[extents.size() - 2];
  if (shape.rank > 3) shape.height = extents[extents.size() - 3];
  if (shape.rank > 4) shape.depth = extents[extents.size() - 4];
  return shape;
}

Shape broadcast(const Shape& a, const Shape& b) {
  return {std::max(a.height, b.height), std::max(a.width, b.width),
          std::max(a.channels, b.channels), std::max(a.rank, b.rank), std::max(a.depth, b.depth)};
}

std::size_t axis_position(std::int32_t axis, std::int32_t rank) {
  return static_cast<std::size_t>(axis < 0 ? axis + rank : axis);
}

}  // namespace

ValueId Network::slice(ValueId x, const Slice& slice, SliceBounds bounds, const std::string& name) {
  std::vector<std::int32_t> extents = shape(x).dimensions();
  const auto axis = static_cast<std::size_t>(slice.axis);
  const std::int32_t all = (1 << extents.size()) - 1;
  const std::int32_t others = all & ~(1 << slice.axis);
  std::vector<std::int32_t> constants(extents.size(), 0);
  constants[axis] = slice.begin;
  std::vector<std::int32_t> ends(extents.size(), 0);
  if (bounds == SliceBounds::kWritten) ends = extents;
  ends[axis] = slice.end;
  constants.insert(constants.end(), ends.begin(), ends.end());
  const bool has_no_begin = slice.begin == 0 && bounds == SliceBounds::kOpen;
  constants.insert(constants.end(), {has_no_begin ? all : others, others});
  extents[axis] = slice.end - slice.begin;
  return append({.code = OpCode::kStridedSlice,
                 .name = name,
                 .output_name = name,
                 .inputs = {x},
                 .constants = std::move(constants)},
                shape_of(extents));
}

ValueId Network::concat(const std::vector<ValueId>& parts, std::int32_t axis,
                        const std::string& name) {
  std::vector<std::int32_t> extents = shape(parts.front()).dimensions();
  const std::size_t position = axis_position(axis, shape(parts.front()).rank);
  extents[position] = 0;
  for (const ValueId part : parts) extents[position] += shape(part).dimensions()[position];
  return append({.code = OpCode::kConcatenation,
                 .name = name,
                 .output_name = name,
                 .inputs = parts,
                 .constants = {axis}},
                shape_of(extents));
}

ValueId Network::weighted_sum(ValueId x, const std::vector<float>& weights,
                              const std::string& name) {
  const auto channels = static_cast<std::int32_t>(weights.size());
  keras_parameters_ += weights.size();
  return append({.code = OpCode::kConv2D,
                 .name = name,
                 .output_name = name,
                 .inputs = {x},
                 .window = square(1),
                 .constant = {{1, 1, 1, channels}, weights}},
                {shape(x).height, shape(x).width, 1});
}

ValueId Network::binary(OpCode code, ValueId a, ValueId b, const std::string& name) {
  return append({.code = code, .name = name, .output_name = name, .inputs = {a, b}},
                broadcast(shape(a), shape(b)));
}

ValueId Network::binary(OpCode code, ValueId x, Constant constant, const std::string& name) {
  const Shape out = broadcast(shape(x), shape_of(constant.shape));
  return append({.code = code,
                 .name = name,
                 .output_name = name,
                 .inputs = {x},
                 .constant = std::move(constant)},
                out);
}

ValueId Network::silu(ValueId x, const std::string& name) {
  const ValueId gate = unary(OpCode::kLogistic, x, name + "/Sigmoid");
  return binary(OpCode::kMul, x, gate, name + "/mul");
}

ValueId Network::quantize(ValueId x, const std::string& name, ElementType type) {
  return append({.code = OpCode::kQuantize, .name = name, .output_name = name, .inputs = {x}},
                shape(x), type);
}

ValueId Network::dequantize(ValueId x, const std::string& name) {
  return append({.code = OpCode::kDequantize, .name = name, .output_name = name, .inputs = {x}},
                shape(x), ElementType::kFloat32);
}

ValueId Network::resize_nearest(ValueId x, std::int32_t height, std::int32_t width,
                                bool half_pixel_centers, const std::string& name) {
  return append({.code = OpCode::kResizeNearestNeighbor,
                 .name = name,
                 .output_name = name,
                 .inputs = {x},
                 .constants = {height, width},
                 .has_half_pixel_centers = half_pixel_centers},
                {height, width, shape(x).channels});
}

ValueId Network::pack_twice(ValueId x, std::int32_t axis, const std::string& name) {
  std::vector<std::int32_t> extents = shape(x).dimensions();
  extents.insert(extents.begin() + axis, 2);
  return append({.code = OpCode::kPack,
                 .name = name,
                 .output_name = name,
                 .inputs = {x, x},
                 .constants = {axis}},
                shape_of(extents));
}

ValueId Network::reshape(ValueId x, const Shape& shape, const std::string& name,
                         std::vector<std::int32_t> written) {
  if (written.empty()) written = shape.dimensions();
  return append({.code = OpCode::kReshape,
                 .name = name,
                 .output_name = name,
                 .inputs = {x},
                 .constants = std::move(written)},
                shape);
}

ValueId Network::transpose(ValueId x, const std::vector<std::int32_t>& order,
                           const std::string& name) {
  const std::vector<std::int32_t> from = shape(x).dimensions();
  std::vector<std::int32_t> extents;
  for (const std::int32_t axis : order) extents.push_back(from[static_cast<std::size_t>(axis)]);
  return append({.code = OpCode::kTranspose,
                 .name = name,
                 .output_name = name,
                 .inputs = {x},
                 .constants = order},
                shape_of(extents));
}

void Network::detect(ValueId boxes, ValueId scores, const std::vector<float>& anchors,
                     std::vector<std::uint8_t> options, std::int32_t detections) {
  constexpr std::int32_t kCoordinates = 4;
  const auto count = static_cast<std::int32_t>(anchors.size()) / kCoordinates;
  const std::string name = "TFLite_Detection_PostProcess";
  const ValueId found = append({.code = OpCode::kCustom,
                                .name = name,
                                .output_name = name,
                                .inputs = {boxes, scores},
                                .constant = {{count, kCoordinates}, anchors},
                                .custom_options = std::move(options)},
                               {1, detections, kCoordinates, 3}, ElementType::kFloat32);
  outputs_ = {found};
  const Shape per_detection{.channels = detections, .rank = 2};
  for (const Shape& extra : {per_detection, per_detection, Shape{.rank = 1}}) {
    const std::string suffix = ":" + std::to_string(outputs_.size());
    values_.push_back({name + suffix, extra, ElementType::kFloat32});
    outputs_.push_back(ValueId{static_cast<std::uint32_t>(values_.size() - 1)});
  }
  layers_.back().more_outputs.assign(outputs_.begin() + 1, outputs_.end());
}

}  // namespace segue::zoo
