// Tests recognition and decoding of detector outputs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "detectors.h"
#include "expect.h"

namespace segue {
namespace {

using testing::bytes_of_all;
using testing::detector_of;
using testing::detector_with;
using testing::expect_error;
using testing::kCells64;
using testing::OutputForm;
using testing::whole;
using testing::YoloRow;
using testing::yolov8_form;
using testing::yolov8_values;
using tflite::TensorType;

OutputForm yolov5_form(std::int32_t classes) {
  return {"Identity", {1, 3 * kCells64, 5 + classes}};
}

// --- recognition

TEST(Detector, YoloFormsAreRecognised) {
  EXPECT_EQ(detector_of({yolov5_form(80)}).family(), DetectorFamily::kYolov5);
  EXPECT_EQ(detector_of({yolov5_form(1)}).family(), DetectorFamily::kYolov5);
  EXPECT_EQ(detector_of({yolov8_form(3)}).family(), DetectorFamily::kYolov8);
  EXPECT_EQ(detector_of({{"o", {1, 84, 8400}}}, {}, 640).family(), DetectorFamily::kYolov8);
  EXPECT_EQ(detector_of({{"o", {1, 25200, 85}}}, {}, 640).family(), DetectorFamily::kYolov5);
  // With 80 classes, this input has as many cells as channels.
  EXPECT_EQ(detector_of({yolov8_form(80)}).family(), DetectorFamily::kYolov8);
  // This detector has a fourth grid with a stride of 64 pixels.
  EXPECT_EQ(detector_of({{"o", {1, 102000, 85}}}, {}, 1280).family(), DetectorFamily::kYolov5);
}

TEST(Detector, SsdAndEfficientDetFormsAreRecognised) {
  EXPECT_EQ(detector_of({{"b", {1, 1917, 1, 4}}, {"s", {1, 1917, 91}}}, {}, 300).family(),
            DetectorFamily::kSsd);
  EXPECT_EQ(detector_of({{"s", {1, 2034, 91}}, {"b", {1, 2034, 4}}}, {}, 320).family(),
            DetectorFamily::kSsd);
  EXPECT_EQ(detector_of({{"s", {1, 51150, 91}}, {"b", {1, 51150, 4}}}, {}, 640).family(),
            DetectorFamily::kSsd);
  EXPECT_EQ(detector_of({{"s", {1, 19206, 90}}, {"b", {1, 19206, 4}}}, {}, 320).family(),
            DetectorFamily::kEfficientDet);
  std::vector<OutputForm> levels;
  for (const std::int32_t side : {5, 40, 20, 10, 3}) {
    levels.push_back({"class" + std::to_string(side), {1, side, side, 9 * 90}});
    levels.push_back({"box" + std::to_string(side), {1, side, side, 9 * 4}});
  }
  EXPECT_EQ(detector_of(levels, {}, 320).family(), DetectorFamily::kEfficientDet);
  levels[3].shape[3] = 35;
  expect_error(ErrorCode::kUnsupported, [&] { (void)detector_of(levels, {}, 320); },
               {"box40", "35"});
}

TEST(Detector, NamesDistinguishScoresFromBoxes) {
  EXPECT_EQ(detector_of({{"box_outputs", {1, 1917, 4}}, {"class_outputs", {1, 1917, 4}}}, {}, 300)
                .family(),
            DetectorFamily::kSsd);
  expect_error(ErrorCode::kUnsupported,
               [] {
                 (void)detector_of({{"a", {1, 1917, 4}}, {"b", {1, 1917, 4}}}, {}, 300);
               },
               {"[1, 1917, 4]"});
}

TEST(Detector, OtherOutputsAreRefusedWithTheirShapes) {
  const auto refused = [](const std::vector<OutputForm>& outputs,
                          std::initializer_list<std::string> parts) {
    expect_error(
        ErrorCode::kUnsupported, [&] { (void)detector_of(outputs); }, parts);
  };
  refused({{"scores", {1, 1000}}},
          {"'scores' FLOAT32 [1, 1000]", "[1, 252, 5 + C]", "[1, 4 + C, 84]"});
  refused({{"o", {1, 300, 6}}}, {"[1, 300, 6]", "name the family"});
  refused({{"o", {1, kCells64, 15}}}, {"[1, 84, 15]"});  // YOLOX or YOLOv8 in rows
  refused({{"o", {1, 85, 85}}}, {"[1, 85, 85]"});
  refused({{"o", {1, 4, kCells64}}}, {"[1, 4, 84]"});  // no class
  refused({yolov8_form(3), {"masks", {1, 16, 16, 32}}}, {"masks"});
  refused({{"b", {1, 1000, 4}}, {"s", {1, 1000, 91}}}, {"1000 rows", "give the anchors"});
  refused({{"o", {1, 84, kCells64}, TensorType::INT32}}, {"INT32", "FLOAT32, or INT8 or UINT8"});
}

TEST(Detector, NamedFamilyDecidesOtherSizes) {
  DetectorOptions options;
  options.family = DetectorFamily::kYolov8;
  EXPECT_EQ(detector_of({{"o", {1, kCells64, 85}}}, options).family(), DetectorFamily::kYolov8);
  options.family = DetectorFamily::kYolov5;
  EXPECT_EQ(detector_of({{"o", {1, 100, 7}}}, options).family(), DetectorFamily::kYolov5);
  options.family = DetectorFamily::kSsd;
  expect_error(ErrorCode::kUnsupported, [&] { (void)detector_of({yolov8_form(3)}, options); },
               {"not those of SSD"});
}

TEST(Detector, NamedFamilyRefusesOutputsOfTheOther) {
  expect_error(ErrorCode::kUnsupported,
               [] { (void)detector_of({yolov8_form(3)}, {.family = DetectorFamily::kYolov5}); },
               {"not those of YOLOv5"});
  expect_error(ErrorCode::kUnsupported,
               [] { (void)detector_of({yolov5_form(3)}, {.family = DetectorFamily::kYolov8}); },
               {"not those of YOLOv8"});
}

TEST(Detector, ModelWithoutAPictureIsRefused) {
  testing::ModelBuilder b;
  const auto x = b.input("x", {1, 64});
  b.output(b.relu(x, "y"));
  expect_error(ErrorCode::kUnsupported, [&] { (void)Detector(b.build()); },
               {"'x' INT8 [1, 64]", "[1, H, W, 3]"});
}

TEST(Detector, SettingsOutOfRangeAreRefused) {
  const auto refused = [](DetectorOptions options, const std::string& part) {
    expect_error(ErrorCode::kInvalidArgument, [&] { (void)detector_of({yolov8_form(3)}, options); },
                 {part});
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  refused({.score_threshold = -0.1F}, "-0.1");
  refused({.score_threshold = nan}, "nan");
  refused({.iou_threshold = 0}, "more than 0");
  refused({.iou_threshold = 1.5F}, "1.5");
  refused({.max_detections = 0}, "1 to 10000");
  refused({.max_detections = 10'001}, "10001");
}

// --- decoding

std::vector<Detection> decode(const Detector& detector, const TensorBytes& values,
                              std::uint32_t size = 64) {
  return detector.decode(std::vector<TensorBytes>{values}, whole(size));
}

TEST(Detector, YoloBoxesAreRelativeOrInPixels) {
  const Detector of = detector_of({yolov8_form(2)});
  const auto relative = decode(of, yolov8_values({{0.5F, 0.25F, 0.5F, 0.25F, {0.1F, 0.75F}}}, 2));
  const auto pixels = decode(of, yolov8_values({{32, 16, 32, 16, {0.1F, 0.75F}}}, 2));
  for (const auto& found : {relative, pixels}) {
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].left, 16);
    EXPECT_EQ(found[0].top, 8);
    EXPECT_EQ(found[0].right, 48);
    EXPECT_EQ(found[0].bottom, 24);
    EXPECT_EQ(found[0].score, 0.75F);
    EXPECT_EQ(found[0].class_id, 1U);
  }
}

TEST(Detector, Yolov5MultipliesByObjectness) {
  const Detector of = detector_of({yolov5_form(2)});
  std::vector<float> values(3 * kCells64 * 7);
  const std::vector<float> rows{0.5F, 0.5F, 0.1F, 0.1F, 0.8F, 0.5F,  0.25F,  // 0.4
                                0.2F, 0.2F, 0.1F, 0.1F, 0.2F, 1.0F,  1.0F,   // objectness below
                                0.8F, 0.8F, 0.1F, 0.1F, 0.5F, 0.25F, 0.5F};  // 0.25: not above
  std::ranges::copy(rows, values.begin());
  const auto found = decode(of, bytes_of_all(values));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_FLOAT_EQ(found[0].score, 0.4F);
  EXPECT_EQ(found[0].class_id, 0U);
}

TEST(Detector, QuantizedOutputsEqualTheirRealValues) {
  const OutputForm int8{"o", {1, 6, kCells64}, TensorType::INT8, 1.0F / 128, -128};
  const OutputForm uint8{"o", {1, 6, kCells64}, TensorType::UINT8, 1.0F / 128, 0};
  std::mt19937_64 random(7);
  std::vector<std::uint8_t> unsigned_values(6 * kCells64);
  std::vector<std::uint8_t> signed_values;
  std::vector<float> reals;
  for (std::uint8_t& value : unsigned_values) {
    value = static_cast<std::uint8_t>(random() % 128);
    signed_values.push_back(value ^ 0x80U);
    reals.push_back(static_cast<float>(value) / 128);
  }
  const auto expected = decode(detector_of({yolov8_form(2)}), bytes_of_all(reals));
  ASSERT_GT(expected.size(), 3U);
  for (const auto& found : {decode(detector_of({int8}), bytes_of_all(signed_values)),
                            decode(detector_of({uint8}), bytes_of_all(unsigned_values))}) {
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < found.size(); ++i)
      EXPECT_TRUE(testing::operator_equals(found[i], expected[i])) << i;
  }
}

TEST(Detector, LogitsBecomeProbabilities) {
  DetectorOptions options;
  options.anchors = {{0.5F, 0.5F, 0.5F, 0.25F}};
  const std::vector<OutputForm> forms{{"b", {1, 1, 4}}, {"s", {1, 1, 3}}};
  const std::vector<TensorBytes> values{bytes_of_all<float>({0, 0, 0, 0}),
                                        bytes_of_all<float>({9, 0.5F, -3})};
  const auto scored = [&](tflite::BuiltinOperator writer) {
    return Detector(detector_with(forms, 64, writer).build(), options).decode(values, whole(64));
  };
  const auto found = scored(tflite::BuiltinOperator::RESHAPE);
  ASSERT_EQ(found.size(), 1U);  // class 0 of the scores is the background
  EXPECT_FLOAT_EQ(found[0].score, 1 / (1 + std::exp(-0.5F)));
  EXPECT_EQ(found[0].class_id, 0U);
  EXPECT_EQ(found[0].left, 24);
  EXPECT_EQ(found[0].top, 16);
  const auto probabilities = scored(tflite::BuiltinOperator::LOGISTIC);
  ASSERT_EQ(probabilities.size(), 1U);
  EXPECT_EQ(probabilities[0].score, 0.5F);
}

TEST(Detector, AnchorsThatDoNotFitAreRefused) {
  DetectorOptions options;
  options.anchors.resize(3);
  expect_error(ErrorCode::kInvalidArgument,
               [&] {
                 (void)detector_of({{"b", {1, 4, 4}}, {"s", {1, 4, 3}}}, options);
               },
               {"3 anchors", "4 rows"});
}

// --- suppression

float overlap(const Detection& a, const Detection& b) {
  const float width = std::min(a.right, b.right) - std::max(a.left, b.left);
  const float height = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
  if (width <= 0 || height <= 0) return 0;
  const auto area = [](const Detection& of) { return (of.right - of.left) * (of.bottom - of.top); };
  return width * height / (area(a) + area(b) - width * height);
}

// Takes the best remaining box and removes the boxes that it covers, until no box remains.
std::vector<Detection> suppressed_by_hand(std::vector<Detection> boxes, float threshold) {
  std::vector<Detection> kept;
  while (!boxes.empty()) {
    const auto best = *std::ranges::max_element(boxes, {}, &Detection::score);
    kept.push_back(best);
    std::erase_if(boxes, [&](const Detection& box) {
      return testing::operator_equals(box, best) ||
             (box.class_id == best.class_id && overlap(box, best) > threshold);
    });
  }
  return kept;
}

TEST(Detector, SuppressionEqualsBruteForce) {
  constexpr std::size_t kClasses = 3;
  std::mt19937_64 random(11);
  std::uniform_real_distribution<float> unit(0, 1);
  for (int round = 0; round < 50; ++round) {
    DetectorOptions options;
    options.iou_threshold = 0.05F + 0.9F * unit(random);
    std::vector<YoloRow> rows;
    std::vector<Detection> all;
    for (std::int32_t i = 0; i < kCells64; ++i) {
      YoloRow& row = rows.emplace_back(YoloRow{16 + 32 * unit(random),
                                               16 + 32 * unit(random),
                                               4 + 20 * unit(random),
                                               4 + 20 * unit(random),
                                               {}});
      for (std::size_t c = 0; c < kClasses; ++c) row.scores.push_back(unit(random));
      const auto best = std::ranges::max_element(row.scores);
      if (*best <= options.score_threshold) continue;
      all.push_back({row.x - row.width / 2, row.y - row.height / 2, row.x + row.width / 2,
                     row.y + row.height / 2, *best,
                     static_cast<std::uint32_t>(best - row.scores.begin())});
    }
    const auto expected = suppressed_by_hand(all, options.iou_threshold);
    const auto found =
        decode(detector_of({yolov8_form(kClasses)}, options), yolov8_values(rows, kClasses));
    ASSERT_EQ(found.size(), expected.size()) << "round " << round;
    for (std::size_t i = 0; i < found.size(); ++i)
      EXPECT_TRUE(testing::operator_equals(found[i], expected[i])) << "round " << round;
  }
}

// The second box contains the first and is twice as large.
TEST(Detector, OverlapAtTheThresholdIsKept) {
  const auto values = yolov8_values({{12, 12, 4, 4, {0.9F}}, {12, 14, 4, 8, {0.8F}}}, 1);
  DetectorOptions options;
  options.iou_threshold = 0.5F;
  EXPECT_EQ(decode(detector_of({yolov8_form(1)}, options), values).size(), 2U);
  options.iou_threshold = 0.49F;
  EXPECT_EQ(decode(detector_of({yolov8_form(1)}, options), values).size(), 1U);
}

TEST(Detector, EqualScoresKeepTheOrderOfTheOutputs) {
  const auto found = decode(detector_of({yolov8_form(1)}), yolov8_values({{10, 10, 4, 4, {0.5F}},
                                                                          {30, 30, 4, 4, {0.5F}},
                                                                          {11, 10, 4, 4, {0.5F}},
                                                                          {50, 50, 4, 4, {0.9F}}},
                                                                         1));
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].left, 48);
  EXPECT_EQ(found[1].left, 8);
  EXPECT_EQ(found[2].left, 28);
}

TEST(Detector, AtMostMaxDetectionsAreReturned) {
  std::vector<YoloRow> rows;
  for (int i = 0; i < 20; ++i)
    rows.push_back(
        {3.0F * static_cast<float>(i) + 2, 5, 2, 2, {0.3F + 0.01F * static_cast<float>(i)}});
  DetectorOptions options;
  options.max_detections = 4;
  const auto found = decode(detector_of({yolov8_form(1)}, options), yolov8_values(rows, 1));
  ASSERT_EQ(found.size(), 4U);
  EXPECT_FLOAT_EQ(found[0].score, 0.49F);
  EXPECT_FLOAT_EQ(found[3].score, 0.46F);
}

// --- hostile values

TEST(Detector, ValuesThatAreNotFiniteAreLeftOut) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  const auto found = decode(detector_of({yolov8_form(1)}), yolov8_values({{nan, 10, 4, 4, {0.9F}},
                                                                          {10, inf, 4, 4, {0.9F}},
                                                                          {10, 10, inf, 4, {0.9F}},
                                                                          {10, 10, 4, 4, {nan}},
                                                                          {10, 10, 4, 4, {inf}},
                                                                          {10, 10, -4, 4, {0.9F}},
                                                                          {20, 20, 4, 4, {0.8F}}},
                                                                         1));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].left, 18);
}

TEST(Detector, ManyEqualCandidatesAreDecodedInTime) {
  DetectorOptions options;
  options.score_threshold = 0;
  const Detector of = detector_of({{"b", {1, 51150, 4}}, {"s", {1, 51150, 11}}}, options, 640);
  const std::vector<TensorBytes> values{
      TensorBytes(std::size_t{51150} * 4 * sizeof(float)),
      bytes_of_all(std::vector<float>(std::size_t{51150} * 11, 0.5F))};
  EXPECT_EQ(of.decode(values, whole(640)).size(), 100U);
}

TEST(Detector, WrongValuesAreRefused) {
  const Detector of = detector_of({yolov8_form(1)});
  const TensorBytes right(std::size_t{5} * kCells64 * sizeof(float));
  const auto refused = [&](const std::vector<TensorBytes>& values,
                           const PicturePlacement& placement,
                           std::initializer_list<std::string> parts) {
    expect_error(
        ErrorCode::kInvalidArgument, [&] { (void)of.decode(values, placement); }, parts);
  };
  refused({}, whole(64), {"0 outputs", "1"});
  refused({right, right}, whole(64), {"2 outputs"});
  refused({TensorBytes(5)}, whole(64), {"'Identity'", "1680", "5"});
  refused({right}, {}, {"0 x 0"});
  PicturePlacement broken = whole(64);
  broken.scale_x = 0;
  refused({right}, broken, {"scales 0"});
  broken.scale_x = std::numeric_limits<double>::quiet_NaN();
  refused({right}, broken, {"nan"});
}

}  // namespace
}  // namespace segue
