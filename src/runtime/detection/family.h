// Recognises the meaning of a detector's outputs.
#pragma once

#include <array>
#include <cstddef>
#include <variant>
#include <vector>

#include "runtime/detection/head.h"
#include "segue/detection.h"

namespace segue::detection {

// The outputs of TFLite_Detection_PostProcess: positions by PostProcessed.
struct PostProcessedOutputs {
  std::array<std::size_t, 4> positions{};
};

// One output of YOLO: `rows` boxes of `channels` values each.
struct YoloOutput {
  std::size_t rows = 0;
  std::size_t channels = 0;
  bool is_channels_first = false;  // [1, channels, rows]
  bool has_objectness = false;     // its scores are multiplied by channel 4
  [[nodiscard]] std::size_t first_class() const { return has_objectness ? 5 : 4; }
};

// Rows of a boxes output and a scores output that belong to each other.
struct AnchoredBlock {
  std::size_t boxes = 0;  // positions of the outputs
  std::size_t scores = 0;
  std::size_t rows = 0;
};

// SSD and EfficientDet.
struct AnchoredOutputs {
  std::vector<AnchoredBlock> blocks;  // in the order of the anchors
  std::size_t columns = 0;            // of the scores
  std::size_t background = 0;         // columns before the first class
  Anchor divisors{1, 1, 1, 1};        // of the coded offsets
  std::vector<Anchor> anchors;
};

struct Meaning {
  DetectorFamily family{};
  std::variant<PostProcessedOutputs, YoloOutput, AnchoredOutputs> outputs;
};

// Throws Error(kUnsupported) that describes the outputs and the expected outputs.
[[nodiscard]] Meaning recognise(const Head& head, const DetectorOptions& options);

}  // namespace segue::detection
