// Small detectors for tests.
#pragma once

#include <array>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "environment.h"
#include "model_builder.h"
#include "segue/detection.h"
#include "segue/pipeline.h"

namespace segue::testing {

struct OutputForm {
  std::string name;
  std::vector<std::int32_t> shape;
  tflite::TensorType type = tflite::TensorType::FLOAT32;
  float scale = 1.0F / 256;  // of 8-bit types
  std::int64_t zero_point = 0;
};

/// Makes a model with a picture [1, size, size, 3] as input and outputs of these forms, each
/// written by an operator `writer`. The model cannot be run.
[[nodiscard]] inline ModelBuilder detector_with(
    const std::vector<OutputForm>& outputs, std::int32_t size = 64,
    tflite::BuiltinOperator writer = tflite::BuiltinOperator::RESHAPE) {
  ModelBuilder b;
  const TensorIndex picture = b.input("picture", {1, size, size, 3});
  for (const OutputForm& form : outputs) {
    const TensorIndex x = b.tensor(form.name, form.shape);
    b.at(x).type = form.type;
    if (form.type == tflite::TensorType::FLOAT32) {
      b.at(x).quantization.reset();
    } else {
      b.at(x).quantization->scale = {form.scale};
      b.at(x).quantization->zero_point = {form.zero_point};
    }
    b.op(writer, {picture}, {x});
    b.output(x);
  }
  return b;
}

inline void fill_randomly(ModelBuilder& b, TensorIndex constant, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  auto& data = b.raw().buffers[b.at(constant).buffer]->data;
  for (std::uint8_t& value : data) value = static_cast<std::uint8_t>(random());
}

/// Makes a YOLOv5 with random weights for pictures of 32 pixels: 63 boxes, 4 classes, all values in
/// [0, 1).
[[nodiscard]] inline ModelBuilder small_yolo_builder() {
  constexpr std::int32_t kRows = 63;
  constexpr std::int32_t kChannels = 9;
  ModelBuilder b;
  const auto picture = b.input("picture", {1, 32, 32, 3});
  const auto x = b.conv(picture, "stem", 3, 3);
  const auto flat = b.tensor("flat", {1, 32 * 32 * 3});
  b.op(tflite::BuiltinOperator::RESHAPE, {x, b.int32_constant("flat/shape", {1, 32 * 32 * 3})},
       {flat});
  const auto dense = b.dense(flat, "head", kRows * kChannels, false);
  fill_randomly(b, b.graph().operators.back()->inputs[1], 3);
  const auto rows = b.tensor("rows", {1, kRows, kChannels});
  b.op(tflite::BuiltinOperator::RESHAPE, {dense, b.int32_constant("shape", {1, kRows, kChannels})},
       {rows});
  const auto output = b.tensor("Identity", {1, kRows, kChannels});
  b.at(output).quantization->scale = {1.0F / 256};
  b.at(output).quantization->zero_point = {-128};
  b.op(tflite::BuiltinOperator::LOGISTIC, {rows}, {output});
  b.output(output);
  return b;
}
[[nodiscard]] inline Model small_yolo() { return small_yolo_builder().build("yolo"); }

/// Returns the bytes of the numbers.
template <typename Number>
[[nodiscard]] TensorBytes bytes_of_all(const std::vector<Number>& numbers) {
  TensorBytes bytes(numbers.size() * sizeof(Number));
  std::memcpy(bytes.data(), numbers.data(), bytes.size());
  return bytes;
}

inline constexpr std::int32_t kCells64 = 64 + 16 + 4;  // cells for an input of 64 pixels

[[nodiscard]] inline Detector detector_of(const std::vector<OutputForm>& outputs,
                                          const DetectorOptions& options = {},
                                          std::int32_t size = 64) {
  return Detector(detector_with(outputs, size).build(), options);
}

[[nodiscard]] inline OutputForm yolov8_form(std::int32_t classes) {
  return {"Identity", {1, 4 + classes, kCells64}};
}

// Values of YOLO for an input of 64 pixels: rows at [channel][row] or [row][channel].
struct YoloRow {
  float x, y, width, height;
  std::vector<float> scores;
};

[[nodiscard]] inline TensorBytes yolov8_values(const std::vector<YoloRow>& rows,
                                               std::size_t classes) {
  std::vector<float> values((4 + classes) * kCells64);
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const YoloRow& of = rows[row];
    const std::array box{of.x, of.y, of.width, of.height};
    for (std::size_t i = 0; i < 4; ++i) values[i * kCells64 + row] = box[i];
    for (std::size_t i = 0; i < classes; ++i) values[(4 + i) * kCells64 + row] = of.scores[i];
  }
  return bytes_of_all(values);
}

/// Makes a picture of random pixels.
[[nodiscard]] inline Picture random_picture(std::uint32_t width, std::uint32_t height,
                                            std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Picture picture{width, height, std::vector<std::uint8_t>(std::size_t{width} * height * 3)};
  for (std::uint8_t& value : picture.rgb) value = static_cast<std::uint8_t>(random());
  return picture;
}

/// Returns the placement of a picture that fills the whole input.
[[nodiscard]] inline PicturePlacement whole(std::uint32_t size) {
  PicturePlacement placement;
  placement.width = placement.height = size;
  return placement;
}

inline bool operator_equals(const Detection& a, const Detection& b) {
  return a.left == b.left && a.top == b.top && a.right == b.right && a.bottom == b.bottom &&
         a.score == b.score && a.class_id == b.class_id;
}

[[nodiscard]] inline PipelineLayout in_segments(const Model& model,
                                                const std::vector<std::uint32_t>& cuts) {
  std::vector<Model> segments;
  std::uint32_t begin = 0;
  for (const std::uint32_t end : cuts) {
    const auto of_segment = operators(begin, end - 1);
    segments.push_back(parse_model(extract_segment(model, of_segment).to_bytes(),
                                   "segment " + std::to_string(segments.size())));
    begin = end;
  }
  return pipeline_layout(std::move(segments), {});
}

[[nodiscard]] inline std::vector<Detection> whole_model(const Model& model,
                                                        const Detector& detector,
                                                        const PreparedPicture& prepared) {
  const auto session = cpu_backend().open(model.bytes(), model.name());
  const std::span<const std::byte> input(prepared.input);
  return detector.decode(session->run({&input, 1}), prepared.placement);
}

inline void expect_equal_boxes(const std::vector<Detection>& found,
                               const std::vector<Detection>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i)
    EXPECT_TRUE(operator_equals(found[i], expected[i])) << "box " << i;
}

[[nodiscard]] inline std::shared_ptr<const Backend> shared_cpu() {
  return {&cpu_backend(), [](const Backend*) {}};
}

}  // namespace segue::testing
