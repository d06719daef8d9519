// Tests pictures as inputs of detectors, boxes in pixels of pictures, and anchors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <fstream>

#include "detectors.h"
#include "environment.h"
#include "expect.h"

namespace segue {
namespace {

using testing::bytes_of_all;
using testing::detector_of;
using testing::detector_with;
using testing::expect_error;
using testing::yolov8_form;
using testing::yolov8_values;
using tflite::TensorType;

TEST(DetectorPictures, LetterboxKeepsTheShape) {
  const Detector of = detector_of({{"o", {1, 84, 8400}}}, {}, 640);
  const auto placed = [&](std::uint32_t width, std::uint32_t height) {
    return of.prepare(testing::random_picture(width, height, 1)).placement;
  };
  PicturePlacement placement = placed(640, 480);
  EXPECT_EQ(placement.scale_x, 1);
  EXPECT_EQ(placement.left, 0);
  EXPECT_EQ(placement.top, 80);
  placement = placed(810, 1080);
  EXPECT_DOUBLE_EQ(placement.scale_y, 640.0 / 1080);
  EXPECT_EQ(placement.left, 80);
  EXPECT_EQ(placement.top, 0);
  placement = placed(640, 479);  // 80.5: the half pixel goes to the bottom
  EXPECT_EQ(placement.top, 80);
  placement = placed(1, 2000);
  EXPECT_EQ(placement.left, 319);  // at least one pixel
  EXPECT_EQ(placement.scale_x, 1);
}

TEST(DetectorPictures, PixelsFillTheInputOrItsMiddle) {
  const Picture picture{2, 1, {255, 0, 0, 255, 0, 0}};
  const auto yolo = detector_of({yolov8_form(1)}).prepare(picture);
  ASSERT_EQ(yolo.input.size(), 64U * 64 * 3);
  const auto pixel = [](const PreparedPicture& of, std::size_t row, std::size_t channel) {
    return std::to_integer<int>(of.input[row * 64 * 3 + channel] ^ std::byte{0x80});
  };
  EXPECT_EQ(pixel(yolo, 15, 0), 114);
  EXPECT_EQ(pixel(yolo, 16, 0), 255);
  EXPECT_EQ(pixel(yolo, 16, 1), 0);
  EXPECT_EQ(pixel(yolo, 47, 0), 255);
  EXPECT_EQ(pixel(yolo, 48, 0), 114);
  DetectorOptions options;
  options.anchors.resize(2);
  const auto ssd = detector_of({{"b", {1, 2, 4}}, {"s", {1, 2, 3}}}, options).prepare(picture);
  EXPECT_EQ(pixel(ssd, 0, 0), 255);
  EXPECT_EQ(pixel(ssd, 63, 0), 255);
  EXPECT_EQ(ssd.placement.scale_x, 32);
  EXPECT_EQ(ssd.placement.scale_y, 64);
}

TEST(DetectorPictures, FloatInputsHaveFamilyRange) {
  auto yolo = detector_with({yolov8_form(1)});
  auto ssd = detector_with({{"b", {1, 2, 4}}, {"s", {1, 2, 3}}});
  for (testing::ModelBuilder* b : {&yolo, &ssd}) {
    b->at(0).type = TensorType::FLOAT32;
    b->at(0).quantization.reset();
  }
  DetectorOptions options;
  options.anchors.resize(2);
  const Picture white{1, 1, {255, 255, 0}};
  const auto values = [&](const Detector& of) {
    const auto prepared = of.prepare(white);
    std::array<float, 3> reals{};
    std::memcpy(reals.data(), prepared.input.data(), sizeof reals);
    return reals;
  };
  EXPECT_EQ(values(Detector(yolo.build())), (std::array{1.0F, 1.0F, 0.0F}));
  EXPECT_EQ(values(Detector(ssd.build(), options)), (std::array{1.0F, 1.0F, -1.0F}));
}

TEST(DetectorPictures, BoxesReturnToThePicture) {
  const Detector of = detector_of({yolov8_form(1)});
  const auto placement = of.prepare(testing::random_picture(128, 64, 1)).placement;  // half size
  const std::vector<TensorBytes> values{
      yolov8_values({{32, 32, 16, 8, {0.9F}}, {2, 20, 8, 20, {0.8F}}}, 1)};
  const auto found = of.decode(values, placement);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].left, 48);
  EXPECT_EQ(found[0].top, 24);
  EXPECT_EQ(found[0].right, 80);
  EXPECT_EQ(found[0].bottom, 40);
  EXPECT_EQ(found[1].left, 0);  // clipped
  EXPECT_EQ(found[1].top, 0);
  EXPECT_EQ(found[1].right, 12);
  EXPECT_EQ(found[1].bottom, 28);
}

TEST(DetectorPictures, EmptyAndWrongPicturesAreRefused) {
  const Detector of = detector_of({yolov8_form(1)});
  const auto refused = [&](const Picture& picture, const std::string& part) {
    expect_error(ErrorCode::kInvalidArgument, [&] { (void)of.prepare(picture); }, {part});
  };
  refused({}, "0 x 0");
  refused({4, 0, {}}, "4 x 0");
  refused({20000, 1, {}}, "20000 x 1");
  refused({2, 2, std::vector<std::uint8_t>(11)}, "12 bytes, but 11");
}

TEST(DetectorPictures, FilesAreReadAndOthersRefused) {
  const testing::ScratchFolder scratch;
  const auto write = [&](const std::string& name, const std::string& content) {
    std::ofstream(scratch.path() / name) << content;
    return scratch.path() / name;
  };
  const Picture picture = read_picture(write("p.ppm", "P6 1 2 255\nabcdef"));
  EXPECT_EQ(picture.width, 1U);
  EXPECT_EQ(picture.height, 2U);
  EXPECT_EQ(picture.rgb, (std::vector<std::uint8_t>{'a', 'b', 'c', 'd', 'e', 'f'}));
  const auto refused = [&](const std::filesystem::path& path, const std::string& part) {
    expect_error(ErrorCode::kInvalidArgument, [&] { (void)read_picture(path); }, {part});
  };
  refused(write("cut.ppm", "P6 4 4 255\nabc"), "truncated");
  refused(write("text.png", "no picture"), "no picture that Segue reads");
  expect_error(ErrorCode::kIo, [&] { (void)read_picture(scratch.path() / "none.png"); }, {"none"});
}

// --- anchors

// The anchors of a published SSD MobileNet v1 are those that Segue computes for its input.
TEST(DetectorAnchors, EqualThoseOfAPublishedModel) {
  const auto path = testing::shared("models/ssd_mobilenet_v1_segment_3_of_4_edgetpu.tflite");
  SKIP_WITHOUT(path);
  const Model published = read_model(path);
  const Operator& op = published.operators().back();
  ASSERT_EQ(op.name, "TFLite_Detection_PostProcess");
  const Tensor& table = published.tensor(tensor_id(op.inputs[2]));
  ASSERT_EQ(table.shape[0], 1917);
  ASSERT_EQ(table.type, ElementType::kFloat32);
  // A box with offsets of 0 is its anchor. The scores let one row pass at a time.
  DetectorOptions options;
  const Detector of = detector_of({{"b", {1, 1917, 4}}, {"s", {1, 1917, 2}}}, options, 300);
  const TensorBytes boxes(std::size_t{1917} * 4 * sizeof(float));
  PicturePlacement wide;  // nothing is clipped
  wide.width = wide.height = 3 * 300;
  wide.left = wide.top = -300;
  for (std::size_t row = 0; row < 1917; row += 7) {
    std::vector<float> scores(std::size_t{1917} * 2, -9);
    scores[2 * row + 1] = 9;
    const auto found = of.decode(std::vector<TensorBytes>{boxes, bytes_of_all(scores)}, wide);
    ASSERT_EQ(found.size(), 1U);
    std::array<float, 4> anchor{};  // centre y and x, height, width
    std::memcpy(anchor.data(), table.data.data() + row * sizeof anchor, sizeof anchor);
    constexpr float kTolerance = 0.01F;  // pixels
    EXPECT_NEAR((found[0].top + found[0].bottom) / 2 - 300, 300 * anchor[0], kTolerance) << row;
    EXPECT_NEAR((found[0].left + found[0].right) / 2 - 300, 300 * anchor[1], kTolerance) << row;
    EXPECT_NEAR(found[0].bottom - found[0].top, 300 * anchor[2], kTolerance) << row;
    EXPECT_NEAR(found[0].right - found[0].left, 300 * anchor[3], kTolerance) << row;
  }
}

// The expected anchors are computed by hand: the first cell of level 3 has a stride of 8 pixels,
// and the last cell of level 7 one of 640 / 5.
TEST(DetectorAnchors, PyramidsHaveTheSizesOfTheirLevels) {
  const auto anchor = [](std::int32_t rows, std::int32_t columns, std::size_t row) {
    const Detector of = detector_of({{"b", {1, rows, 4}}, {"s", {1, rows, columns}}}, {}, 640);
    std::vector<float> scores(static_cast<std::size_t>(rows * columns), -9);
    scores[row * static_cast<std::size_t>(columns) + 1] = 9;
    PicturePlacement wide;
    wide.width = wide.height = 3 * 640;
    wide.left = wide.top = -640;
    return of
        .decode(std::vector{TensorBytes(static_cast<std::size_t>(rows) * 16), bytes_of_all(scores)},
                wide)
        .at(0);
  };
  const Detection first = anchor(51150, 3, 0);  // a square of 4 strides around (4, 4)
  EXPECT_FLOAT_EQ(first.left, 640 + 4 - 16);
  EXPECT_FLOAT_EQ(first.bottom, 640 + 4 + 16);
  const Detection second = anchor(51150, 3, 1);  // the larger scale
  EXPECT_NEAR(second.right - second.left, 32 * std::sqrt(2.0), 1e-3);
  const Detection wide = anchor(51150, 3, 2);  // twice as wide as high
  EXPECT_NEAR((wide.right - wide.left) / (wide.bottom - wide.top), 2, 1e-4);
  const Detection scaled = anchor(76725, 2, 3);  // EfficientDet: shapes vary first
  EXPECT_NEAR(scaled.right - scaled.left, 24 * std::cbrt(2.0), 1e-3);
  const Detection last = anchor(76725, 2, 76724);  // high, of the largest scale
  EXPECT_NEAR((last.top + last.bottom) / 2, 640 + 640 - 64, 1e-3);
  EXPECT_NEAR(last.bottom - last.top, 3 * 128 * std::cbrt(4.0) * std::sqrt(2.0), 1e-2);
}

}  // namespace
}  // namespace segue
