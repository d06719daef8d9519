#include "runtime/detection/family.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <optional>

#include "runtime/detection/anchors.h"
#include "segue/error.h"
#include "segue/units.h"

namespace segue::detection {
namespace {

PictureSize size_of(const Port& input) { return {input.shape[1], input.shape[2]}; }

std::size_t cells(PictureSize input, std::initializer_list<std::int32_t> strides) {
  std::size_t count = 0;
  for (const std::int32_t stride : strides) {
    const Grid grid = grid_of(input, stride);
    count += static_cast<std::size_t>(grid.height) * static_cast<std::size_t>(grid.width);
  }
  return count;
}

// Whether a YOLO model for this input has `count` cells, in the usual, the P6 or the P2 variant.
bool is_cell_count(PictureSize input, std::size_t count) {
  return count == cells(input, {8, 16, 32}) || count == cells(input, {8, 16, 32, 64}) ||
         count == cells(input, {4, 8, 16, 32});
}

bool wants(const DetectorOptions& options, DetectorFamily family) {
  return !options.family || *options.family == family;
}

[[noreturn]] void refuse(const Head& head, const std::string& reason) {
  throw Error(ErrorCode::kUnsupported, head.model + ": " + reason);
}

std::optional<Meaning> find_post_processed(const Head& head) {
  PostProcessedOutputs found;
  std::array<bool, 4> is_found{};
  for (std::size_t i = 0; i < head.outputs.size(); ++i) {
    if (!head.outputs[i].post_processed) continue;
    const auto role = static_cast<std::size_t>(*head.outputs[i].post_processed);
    if (head.outputs[i].port.type != ElementType::kFloat32) continue;
    found.positions.at(role) = i;
    is_found.at(role) = true;
  }
  if (head.outputs.size() != 4 || std::ranges::count(is_found, true) != 4) return std::nullopt;
  // Shapes are often unknown, so the sizes decide.
  const auto bytes_of = [&](PostProcessed role) {
    return head.outputs[found.positions.at(static_cast<std::size_t>(role))].port.bytes;
  };
  const std::uint64_t scores = bytes_of(PostProcessed::kScores);
  if (bytes_of(PostProcessed::kBoxes) != 4 * scores ||
      bytes_of(PostProcessed::kClasses) != scores ||
      bytes_of(PostProcessed::kCount) != sizeof(float))
    refuse(head, fmt::format("the outputs {} of TFLite_Detection_PostProcess have sizes that do "
                             "not belong together; expected boxes [1, N, 4], classes [1, N], "
                             "scores [1, N] and their number [1]",
                             describe(head.outputs)));
  return Meaning{DetectorFamily::kPostProcessed, found};
}

// --- YOLO

std::optional<Meaning> find_yolo(const Head& head, const DetectorOptions& options) {
  if (head.outputs.size() != 1) return std::nullopt;
  const auto& shape = head.outputs[0].port.shape;
  if (shape.size() != 3 || shape[0] != 1 || shape[1] <= 0 || shape[2] <= 0) return std::nullopt;
  YoloOutput yolo{.rows = static_cast<std::size_t>(std::max(shape[1], shape[2])),
                  .channels = static_cast<std::size_t>(std::min(shape[1], shape[2])),
                  .is_channels_first = shape[1] <= shape[2]};
  constexpr std::size_t kAnchorsPerCell = 3;
  const PictureSize input = size_of(head.input);
  const bool is_sized_as_v5 = !yolo.is_channels_first && yolo.rows % kAnchorsPerCell == 0 &&
                              is_cell_count(input, yolo.rows / kAnchorsPerCell);
  const bool is_sized_as_v8 = yolo.is_channels_first && is_cell_count(input, yolo.rows);
  // Rows and channels cannot be told apart, except by the usual number of cells.
  if (shape[1] == shape[2] && yolo.rows != cells(input, {8, 16, 32})) return std::nullopt;
  // A family that is named also has other sizes, but not those of the other family.
  const auto is_family = [&](DetectorFamily family, bool is_sized, bool is_sized_as_other) {
    return options.family ? *options.family == family && !is_sized_as_other : is_sized;
  };
  const bool is_yolov5 = is_family(DetectorFamily::kYolov5, is_sized_as_v5, is_sized_as_v8);
  const bool is_yolov8 = is_family(DetectorFamily::kYolov8, is_sized_as_v8, is_sized_as_v5);
  if (is_yolov5 == is_yolov8) return std::nullopt;
  yolo.has_objectness = is_yolov5;
  if (yolo.channels <= yolo.first_class()) return std::nullopt;
  return Meaning{is_yolov5 ? DetectorFamily::kYolov5 : DetectorFamily::kYolov8, yolo};
}

// --- SSD and EfficientDet

// Returns N and K of the shape [1, N, K] or [1, N, 1, K].
std::optional<std::array<std::size_t, 2>> rows_and_columns(const Port& port) {
  std::vector<std::int32_t> shape = port.shape;
  if (shape.size() == 4 && shape[2] == 1) shape.erase(shape.begin() + 2);
  if (shape.size() != 3 || shape[0] != 1 || shape[1] <= 0 || shape[2] <= 0) return std::nullopt;
  return std::array{static_cast<std::size_t>(shape[1]), static_cast<std::size_t>(shape[2])};
}

bool is_named_box(const HeadOutput& output) {
  return output.port.name.find("box") != std::string::npos;
}

// Whether `a` has the boxes and `b` the scores. Empty if the widths allow neither or both, and the
// names do not decide it.
std::optional<bool> is_boxes_first(const HeadOutput& a, std::size_t a_columns, const HeadOutput& b,
                                   std::size_t b_columns, std::size_t box_columns) {
  const bool first = a_columns == box_columns;
  const bool second = b_columns == box_columns;
  if (first != second) return first;
  if (!first || is_named_box(a) == is_named_box(b)) return std::nullopt;
  return is_named_box(a);
}

// Finds two outputs with one row per anchor.
std::optional<AnchoredOutputs> find_pair(const Head& head) {
  if (head.outputs.size() != 2) return std::nullopt;
  const auto a = rows_and_columns(head.outputs[0].port);
  const auto b = rows_and_columns(head.outputs[1].port);
  if (!a || !b || (*a)[0] != (*b)[0]) return std::nullopt;
  const auto first = is_boxes_first(head.outputs[0], (*a)[1], head.outputs[1], (*b)[1], 4);
  if (!first) return std::nullopt;
  AnchoredOutputs outputs;
  outputs.blocks = {{*first ? 0U : 1U, *first ? 1U : 0U, (*a)[0]}};
  outputs.columns = *first ? (*b)[1] : (*a)[1];
  return outputs;
}

// Returns the output other than `position` that belongs to the same level.
std::optional<std::size_t> find_partner(const Head& head, std::size_t position) {
  const auto& shape = head.outputs[position].port.shape;
  std::optional<std::size_t> partner;
  for (std::size_t i = 0; i < head.outputs.size(); ++i) {
    const auto& other = head.outputs[i].port.shape;
    if (i == position || other.size() != 4 || other[0] != 1 || other[1] != shape[1] ||
        other[2] != shape[2] || other[3] <= 0)
      continue;
    if (partner) return std::nullopt;
    partner = i;
  }
  return partner;
}

// Finds a boxes output and a scores output for each level of a feature pyramid, with `per_cell`
// anchors.
std::optional<AnchoredOutputs> find_levels(const Head& head, std::int32_t per_cell) {
  constexpr std::size_t kLevels = kLastLevel - kFirstLevel + 1;
  if (head.outputs.size() != 2 * kLevels) return std::nullopt;
  AnchoredOutputs outputs;
  for (std::int32_t level = kFirstLevel; level <= kLastLevel; ++level) {
    const Grid grid = grid_of(size_of(head.input), 1 << level);
    const auto at = std::ranges::find_if(head.outputs, [&](const HeadOutput& output) {
      const auto& shape = output.port.shape;
      return shape.size() == 4 && shape[0] == 1 && shape[1] == grid.height &&
             shape[2] == grid.width && shape[3] > 0 && shape[3] % per_cell == 0;
    });
    if (at == head.outputs.end()) return std::nullopt;
    const auto one = static_cast<std::size_t>(at - head.outputs.begin());
    const auto other = find_partner(head, one);
    if (!other) return std::nullopt;
    const auto columns_of = [&](std::size_t of) {
      return static_cast<std::size_t>(head.outputs[of].port.shape[3] / per_cell);
    };
    const auto first = is_boxes_first(head.outputs[one], columns_of(one), head.outputs[*other],
                                      columns_of(*other), 4);
    if (!first || head.outputs[*other].port.shape[3] % per_cell != 0) return std::nullopt;
    const std::size_t boxes = *first ? one : *other;
    const std::size_t scores = *first ? *other : one;
    if (outputs.columns != 0 && outputs.columns != columns_of(scores)) return std::nullopt;
    outputs.columns = columns_of(scores);
    outputs.blocks.push_back(
        {boxes, scores,
         cells(size_of(head.input), {1 << level}) * static_cast<std::size_t>(per_cell)});
  }
  return outputs;
}

struct AnchorSet {
  DetectorFamily family;
  std::vector<Anchor> anchors;
};

// Returns the set of anchors that has this number of rows.
AnchorSet choose_anchors(const Head& head, const DetectorOptions& options, std::size_t rows) {
  if (!options.anchors.empty()) {
    if (options.anchors.size() != rows) {
      throw Error(
          ErrorCode::kInvalidArgument,
          fmt::format("{}: {} given, but the outputs have {}", head.model,
                      format_count(options.anchors.size(), "anchor"), format_count(rows, "row")));
    }
    return {options.family.value_or(DetectorFamily::kSsd), options.anchors};
  }
  const PictureSize input = size_of(head.input);
  // Limits the memory of the sets below before they are compared.
  constexpr std::size_t kMostCells = 1'000'000;
  if (cells(input, {1 << kFirstLevel}) > kMostCells)
    refuse(head, fmt::format("{} rows for an input of {} x {}: too many for known anchors; give "
                             "the anchors",
                             rows, input.width, input.height));
  std::vector<AnchorSet> sets{{DetectorFamily::kSsd, ssd_anchors(input)},
                              {DetectorFamily::kSsd, pyramid_anchors(input)},
                              {DetectorFamily::kEfficientDet, efficientdet_anchors(input)}};
  for (AnchorSet& set : sets) {
    if (wants(options, set.family) && set.anchors.size() == rows) return std::move(set);
  }
  refuse(head, fmt::format("{} have {} rows, but for an input of {} x {} SSD has {} anchors (six "
                           "layers) or {} (feature pyramid), and EfficientDet {}; give the anchors",
                           describe(head.outputs), rows, input.width, input.height,
                           sets[0].anchors.size(), sets[1].anchors.size(), sets[2].anchors.size()));
}

std::optional<Meaning> find_anchored(const Head& head, const DetectorOptions& options) {
  auto found = find_pair(head);
  if (!found && wants(options, DetectorFamily::kEfficientDet))
    found = find_levels(head, kEfficientDetAnchors);
  if (!found && wants(options, DetectorFamily::kSsd)) found = find_levels(head, kPyramidAnchors);
  if (!found) return std::nullopt;
  std::size_t rows = 0;
  for (const AnchoredBlock& block : found->blocks) rows += block.rows;
  AnchorSet set = choose_anchors(head, options, rows);
  found->anchors = std::move(set.anchors);
  if (set.family == DetectorFamily::kSsd) {
    found->divisors = {.y = 10, .x = 10, .height = 5, .width = 5};
    found->background = 1;
    if (found->columns < 2) return std::nullopt;
  }
  return Meaning{set.family, std::move(*found)};
}

}  // namespace

Meaning recognise(const Head& head, const DetectorOptions& options) {
  std::optional<Meaning> found;
  if (wants(options, DetectorFamily::kPostProcessed)) found = find_post_processed(head);
  const bool may_be_yolo =
      wants(options, DetectorFamily::kYolov5) || wants(options, DetectorFamily::kYolov8);
  if (!found && may_be_yolo) found = find_yolo(head, options);
  const bool may_be_anchored =
      wants(options, DetectorFamily::kSsd) || wants(options, DetectorFamily::kEfficientDet);
  if (!found && may_be_anchored) found = find_anchored(head, options);
  if (found) return std::move(*found);
  const std::size_t of_input = cells(size_of(head.input), {8, 16, 32});
  refuse(head,
         fmt::format(
             "the outputs {} are not those of {}; expected the four of "
             "TFLite_Detection_PostProcess, boxes [1, N, 4] with scores [1, N, C], both for "
             "each level, [1, {}, 5 + C] (YOLOv5) or [1, 4 + C, {}] (YOLOv8){}",
             describe(head.outputs),
             options.family ? fmt::format("{}", to_string(*options.family))
                            : "a detector that Segue decodes",
             3 * of_input, of_input, options.family ? "" : "; for other sizes name the family"));
}

}  // namespace segue::detection
