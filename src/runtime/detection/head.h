// The input and the outputs of a detector, as its file describes them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "segue/pipeline.h"
#include "segue/runtime.h"

namespace segue::detection {

// The outputs of TFLite_Detection_PostProcess, in the operator's order.
enum class PostProcessed : std::uint8_t { kBoxes, kClasses, kScores, kCount };

struct HeadOutput {
  Port port;
  float scale = 1;  // of 8-bit values
  std::int32_t zero_point = 0;
  std::optional<PostProcessed> post_processed;
  bool is_probability = false;  // LOGISTIC or SOFTMAX computes it
};

struct Head {
  std::string model;  // for messages
  Port input;
  std::vector<HeadOutput> outputs;
};

// Throw Error(kUnsupported) if the model has several inputs, if its input is not a picture, or if
// an output has a type that no detector decodes.
[[nodiscard]] Head head_of(const Model& model);
[[nodiscard]] Head head_of(const PipelineLayout& layout);

// Returns for example "'boxes' FLOAT32 [1, 1917, 4], 'scores' FLOAT32 [1, 1917, 91]".
[[nodiscard]] std::string describe(const std::vector<HeadOutput>& outputs);

}  // namespace segue::detection
