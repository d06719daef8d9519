#include "runtime/detection/candidates.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/detection/values.h"

namespace segue::detection {
namespace {

void add(std::vector<Candidate>& boxes, const Candidate& box) {
  const bool is_finite = std::isfinite(box.left) && std::isfinite(box.top) &&
                         std::isfinite(box.right) && std::isfinite(box.bottom) &&
                         std::isfinite(box.score);
  if (!is_finite || box.left > box.right || box.top > box.bottom) return;
  boxes.push_back(box);
  // The range of quantized scores may exceed 1.
  boxes.back().score = std::min(box.score, 1.0F);
}

// --- TFLite_Detection_PostProcess

std::vector<Candidate> collect(const Head&, const PostProcessedOutputs& outputs, float threshold,
                               std::span<const std::span<const std::byte>> values) {
  const auto of = [&](PostProcessed role) {
    return FloatValues(values[outputs.positions.at(static_cast<std::size_t>(role))]);
  };
  const auto boxes = of(PostProcessed::kBoxes);
  const auto classes = of(PostProcessed::kClasses);
  const auto scores = of(PostProcessed::kScores);
  const float count = of(PostProcessed::kCount)[0];
  const std::size_t rows = values[outputs.positions[2]].size() / sizeof(float);
  constexpr float kMostClasses = 1U << 24U;  // counted exactly by a float
  std::vector<Candidate> found;
  for (std::size_t row = 0; row < rows && static_cast<float>(row) < count; ++row) {
    const float class_id = classes[row];
    if (!(scores[row] >= threshold) || !(class_id >= 0 && class_id < kMostClasses)) continue;
    add(found, {.left = boxes[4 * row + 1],
                .top = boxes[4 * row],
                .right = boxes[4 * row + 3],
                .bottom = boxes[4 * row + 2],
                .score = scores[row],
                .class_id = static_cast<std::uint32_t>(class_id)});
  }
  return found;
}

// --- YOLO

// The best class of each row, and its score. The score is -infinity if the row cannot pass the
// threshold.
struct BestClasses {
  std::vector<float> scores;
  std::vector<std::uint32_t> classes;
};

template <typename At>
BestClasses best_classes(const YoloOutput& yolo, float threshold, const At& at) {
  BestClasses best{std::vector<float>(yolo.rows, -std::numeric_limits<float>::infinity()),
                   std::vector<std::uint32_t>(yolo.rows)};
  const auto consider = [&](std::size_t row, std::size_t channel) {
    const float score = at(row, channel) * (yolo.has_objectness ? at(row, 4) : 1.0F);
    if (!(score > best.scores[row])) return;
    best.scores[row] = score;
    best.classes[row] = static_cast<std::uint32_t>(channel - yolo.first_class());
  };
  const auto may_pass = [&](std::size_t row) {
    return !yolo.has_objectness || at(row, 4) > threshold;
  };
  // Reads the values in the order in which they are in memory.
  if (yolo.is_channels_first) {
    for (std::size_t channel = yolo.first_class(); channel < yolo.channels; ++channel) {
      for (std::size_t row = 0; row < yolo.rows; ++row) {
        if (may_pass(row)) consider(row, channel);
      }
    }
    return best;
  }
  for (std::size_t row = 0; row < yolo.rows; ++row) {
    if (!may_pass(row)) continue;
    for (std::size_t channel = yolo.first_class(); channel < yolo.channels; ++channel)
      consider(row, channel);
  }
  return best;
}

// Whether centres are relative to the input. Centres in pixels cover the whole input, so some of
// them exceed the limit.
template <typename At>
bool is_relative(const YoloOutput& yolo, const At& at) {
  constexpr float kMostRelative = 2;
  for (std::size_t row = 0; row < yolo.rows; ++row) {
    for (const std::size_t channel : {std::size_t{0}, std::size_t{1}}) {
      const float centre = at(row, channel);
      if (centre > kMostRelative && std::isfinite(centre)) return false;
    }
  }
  return true;
}

template <typename At>
std::vector<Candidate> collect_yolo(const Port& input, const YoloOutput& yolo, float threshold,
                                    const At& at) {
  const BestClasses best = best_classes(yolo, threshold, at);
  const bool relative = is_relative(yolo, at);
  const float in_width = relative ? static_cast<float>(input.shape[2]) : 1;
  const float in_height = relative ? static_cast<float>(input.shape[1]) : 1;
  std::vector<Candidate> found;
  for (std::size_t row = 0; row < yolo.rows; ++row) {
    if (!(best.scores[row] > threshold)) continue;
    const float x = at(row, 0) * in_width;
    const float y = at(row, 1) * in_height;
    const float half_width = at(row, 2) * in_width / 2;
    const float half_height = at(row, 3) * in_height / 2;
    add(found, {x - half_width, y - half_height, x + half_width, y + half_height, best.scores[row],
                best.classes[row]});
  }
  return found;
}

std::vector<Candidate> collect(const Head& head, const YoloOutput& yolo, float threshold,
                               std::span<const std::span<const std::byte>> values) {
  return with_values(head.outputs[0], values[0], [&](const auto& elements) {
    // Two loops instead of one with two strides: the compiler sees which index is contiguous.
    if (yolo.is_channels_first) {
      return collect_yolo(head.input, yolo, threshold, [&](std::size_t row, std::size_t channel) {
        return elements[channel * yolo.rows + row];
      });
    }
    return collect_yolo(head.input, yolo, threshold, [&](std::size_t row, std::size_t channel) {
      return elements[row * yolo.channels + channel];
    });
  });
}

// --- SSD and EfficientDet

// Scores that pass a threshold, by logits or probabilities.
class ScoreTest {
 public:
  ScoreTest(bool is_probability, float threshold)
      : is_probability_(is_probability), threshold_(threshold) {
    if (is_probability) return;
    // A little lower, so that rounding excludes nothing; `find` compares exactly.
    constexpr double kMargin = 1e-3;
    const double logit = std::log(threshold / (1.0 - threshold)) - kMargin;
    lowest_ = static_cast<float>(logit);
  }

  // Returns the score of a value, or an empty optional if it is below the threshold.
  [[nodiscard]] std::optional<float> find(float value) const {
    if (!(value >= (is_probability_ ? threshold_ : lowest_))) return std::nullopt;
    const float score = is_probability_
                            ? value
                            : static_cast<float>(1 / (1 + std::exp(-static_cast<double>(value))));
    return score >= threshold_ ? std::optional(score) : std::nullopt;
  }

 private:
  bool is_probability_;
  float threshold_;
  float lowest_ = -std::numeric_limits<float>::infinity();
};

// Repeats the computation of TFLite_Detection_PostProcess, step by step and with the same
// precision.
template <typename Values>
Candidate decode_box(const AnchoredOutputs& outputs, const Anchor& anchor, const Values& boxes,
                     std::size_t row) {
  const auto centre = [](double offset, double divisor, double size, double position) {
    return static_cast<float>(offset / divisor * size + position);
  };
  const auto half = [](double offset, double divisor, double size) {
    return static_cast<float>(0.5 * std::exp(offset / divisor) * size);
  };
  const Anchor& by = outputs.divisors;
  const float y = centre(boxes[4 * row], by.y, anchor.height, anchor.y);
  const float x = centre(boxes[4 * row + 1], by.x, anchor.width, anchor.x);
  const float half_height = half(boxes[4 * row + 2], by.height, anchor.height);
  const float half_width = half(boxes[4 * row + 3], by.width, anchor.width);
  return {.left = x - half_width,
          .top = y - half_height,
          .right = x + half_width,
          .bottom = y + half_height};
}

std::vector<Candidate> collect(const Head& head, const AnchoredOutputs& outputs, float threshold,
                               std::span<const std::span<const std::byte>> values) {
  std::vector<Candidate> found;
  const Anchor* anchor = outputs.anchors.data();
  for (const AnchoredBlock& block : outputs.blocks) {
    const HeadOutput& scores_of = head.outputs[block.scores];
    const ScoreTest test(scores_of.is_probability, threshold);
    with_values(scores_of, values[block.scores], [&](const auto& scores) {
      with_values(head.outputs[block.boxes], values[block.boxes], [&](const auto& boxes) {
        for (std::size_t row = 0; row < block.rows; ++row, ++anchor) {
          for (std::size_t column = outputs.background; column < outputs.columns; ++column) {
            const auto score = test.find(scores[row * outputs.columns + column]);
            if (!score) continue;
            Candidate box = decode_box(outputs, *anchor, boxes, row);
            box.score = *score;
            box.class_id = static_cast<std::uint32_t>(column - outputs.background);
            add(found, box);
          }
        }
      });
    });
  }
  return found;
}

}  // namespace

OutputSizes sizes_of(const PostProcessedOutputs& outputs, const Head& head) {
  const auto scores = outputs.positions.at(static_cast<std::size_t>(PostProcessed::kScores));
  const std::size_t rows = head.outputs[scores].port.bytes / sizeof(float);
  return {rows, rows};
}

OutputSizes sizes_of(const YoloOutput& outputs, const Head&) {
  return {outputs.rows, outputs.rows * (outputs.channels - outputs.first_class())};
}

OutputSizes sizes_of(const AnchoredOutputs& outputs, const Head&) {
  const std::size_t rows = outputs.anchors.size();
  return {rows, rows * (outputs.columns - outputs.background)};
}

Candidates find_candidates(const Head& head, const Meaning& meaning, float score_threshold,
                           std::span<const std::span<const std::byte>> values) {
  Candidates result;
  result.boxes = std::visit(
      [&](const auto& outputs) { return collect(head, outputs, score_threshold, values); },
      meaning.outputs);
  if (!std::holds_alternative<YoloOutput>(meaning.outputs)) {
    result.unit_height = static_cast<float>(head.input.shape[1]);
    result.unit_width = static_cast<float>(head.input.shape[2]);
  }
  return result;
}

}  // namespace segue::detection
