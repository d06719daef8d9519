// Measures the time to decode the outputs of a detector on one core, per family, size, number of
// classes and type (0: 8 bits, 1: float32). decoding_on (decoding.h) is fitted to these times. The
// outputs contain ten objects with ten boxes each; all other scores are 0. `predicted_us` is the
// time of decoding_on for a desktop host. Post-processed outputs have 10 or 100 boxes; the argument
// for classes sets that number.
#include <benchmark/benchmark.h>

#include <cstring>
#include <string>
#include <vector>

#include "detectors.h"

namespace segue {
namespace {

using testing::OutputForm;
using tflite::TensorType;

constexpr std::size_t kObjects = 10;
constexpr std::size_t kBoxesOfObject = 10;

// A tensor of values in [0, 1), as floats or quantized to 8 bits.
class Values {
 public:
  Values(TensorType type, std::size_t count)
      : is_float_(type == TensorType::FLOAT32), bytes_(count * (is_float_ ? sizeof(float) : 1)) {}
  void set(std::size_t at, float value) {
    if (is_float_) {
      std::memcpy(bytes_.data() + at * sizeof value, &value, sizeof value);
    } else {
      bytes_[at] = static_cast<std::byte>(static_cast<int>(value * 256));
    }
  }
  [[nodiscard]] TensorBytes take() { return std::move(bytes_); }

 private:
  bool is_float_;
  TensorBytes bytes_;
};

// Calls `place` with the row and the centre of each box.
template <typename Place>
void for_all_boxes(std::size_t rows, const Place& place) {
  for (std::size_t i = 0; i < kObjects * kBoxesOfObject; ++i) {
    const auto object = static_cast<float>(i / kBoxesOfObject);
    const auto shift = static_cast<float>(i % kBoxesOfObject);
    place(i * rows / (kObjects * kBoxesOfObject), 0.05F + 0.09F * object + 0.001F * shift);
  }
}

std::int32_t cells(std::int32_t size) {
  return (size / 8) * (size / 8) + (size / 16) * (size / 16) + (size / 32) * (size / 32);
}

struct Outputs {
  Detector detector;
  std::vector<TensorBytes> values;
};

OutputForm form(std::string name, std::vector<std::int32_t> shape, TensorType type) {
  return {std::move(name), std::move(shape), type, 1.0F / 256, 0};
}

Outputs yolov8(std::int32_t size, std::int32_t classes, TensorType type) {
  const std::int32_t rows = cells(size);
  const auto of = static_cast<std::size_t>(rows);
  Values values(type, of * static_cast<std::size_t>(4 + classes));
  for_all_boxes(of, [&](std::size_t row, float centre) {
    for (const std::size_t channel : {0, 1}) values.set(channel * of + row, centre);
    for (const std::size_t channel : {2, 3}) values.set(channel * of + row, 0.08F);
    values.set(4 * of + row, 0.9F);
  });
  return {testing::detector_of({form("y", {1, 4 + classes, rows}, type)}, {}, size),
          {values.take()}};
}

Outputs yolov5(std::int32_t size, std::int32_t classes, TensorType type) {
  const std::int32_t rows = 3 * cells(size);
  const auto of = static_cast<std::size_t>(rows);
  const auto channels = static_cast<std::size_t>(5 + classes);
  Values values(type, of * channels);
  for_all_boxes(of, [&](std::size_t row, float centre) {
    for (const std::size_t channel : {0, 1}) values.set(row * channels + channel, centre);
    for (const std::size_t channel : {2, 3}) values.set(row * channels + channel, 0.08F);
    for (const std::size_t channel : {4, 5}) values.set(row * channels + channel, 0.9F);
  });
  return {testing::detector_of({form("y", {1, rows, 5 + classes}, type)}, {}, size),
          {values.take()}};
}

// Boxes lie on their anchors.
Outputs anchored(std::int32_t size, TensorType type, std::int32_t rows, std::int32_t columns) {
  const auto of = static_cast<std::size_t>(rows);
  Values boxes(type, of * 4);
  Values scores(type, of * static_cast<std::size_t>(columns));
  for_all_boxes(of, [&](std::size_t row, float) {
    scores.set(row * static_cast<std::size_t>(columns) + 1, 0.9F);
  });
  const auto model = testing::detector_with(
      {form("boxes", {1, rows, 4}, type), form("scores", {1, rows, columns}, type)}, size,
      tflite::BuiltinOperator::LOGISTIC);
  return {Detector(model.build()), {boxes.take(), scores.take()}};
}

Outputs ssd(std::int32_t size, std::int32_t classes, TensorType type) {
  return anchored(size, type, size == 320 ? 2034 : 51150, classes + 1);
}

Outputs efficientdet(std::int32_t size, std::int32_t classes, TensorType type) {
  std::int32_t rows = 0;
  for (std::int32_t level = 3; level <= 7; ++level) {
    const std::int32_t extent = (size + (1 << level) - 1) >> level;
    rows += 9 * extent * extent;
  }
  return anchored(size, type, rows, classes);
}

Outputs post_processed(std::int32_t size, std::int32_t rows, TensorType) {
  testing::ModelBuilder b = testing::detector_with({}, size);
  std::vector<testing::TensorIndex> written;
  for (const auto& shape :
       std::vector<std::vector<std::int32_t>>{{1, rows, 4}, {1, rows}, {1, rows}, {1}}) {
    written.push_back(b.tensor("found:" + std::to_string(written.size()), shape));
    b.at(written.back()).type = TensorType::FLOAT32;
    b.at(written.back()).quantization.reset();
    b.output(written.back());
  }
  b.op(tflite::BuiltinOperator::CUSTOM, {0}, written);
  b.raw().operator_codes.back()->custom_code = "TFLite_Detection_PostProcess";
  const auto count = static_cast<std::size_t>(rows);
  return {Detector(b.build()),
          {testing::bytes_of_all(std::vector<float>(4 * count, 0.5F)),
           testing::bytes_of_all(std::vector<float>(count, 1)),
           testing::bytes_of_all(std::vector<float>(count, 0.9F)),
           testing::bytes_of_all(std::vector<float>{static_cast<float>(rows)})}};
}

void decode(benchmark::State& state, Outputs (*make)(std::int32_t, std::int32_t, TensorType)) {
  const auto size = static_cast<std::int32_t>(state.range(0));
  const Outputs outputs = make(size, static_cast<std::int32_t>(state.range(1)),
                               state.range(2) == 0 ? TensorType::UINT8 : TensorType::FLOAT32);
  const PicturePlacement picture = testing::whole(static_cast<std::uint32_t>(size));
  std::size_t found = 0;
  for (auto _ : state) found = outputs.detector.decode(outputs.values, picture).size();
  state.counters["found"] = static_cast<double>(found);
  const auto pools = open_devices("edgetpu-usb3", 1);
  state.counters["predicted_us"] = 1e3 * to_ms(decoding_on(outputs.detector.work(), pools).time);
}

BENCHMARK_CAPTURE(decode, yolov8, &yolov8)->ArgsProduct({{320, 640}, {3, 80}, {0, 1}});
BENCHMARK_CAPTURE(decode, yolov5, &yolov5)->ArgsProduct({{320, 640}, {3, 80}, {0, 1}});
BENCHMARK_CAPTURE(decode, ssd, &ssd)->ArgsProduct({{320, 640}, {3, 80}, {0, 1}});
BENCHMARK_CAPTURE(decode, efficientdet, &efficientdet)->ArgsProduct({{320, 512}, {3, 80}, {0, 1}});
BENCHMARK_CAPTURE(decode, post_processed, &post_processed)->ArgsProduct({{320}, {10, 100}, {1}});

}  // namespace
}  // namespace segue
