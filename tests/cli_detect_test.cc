// Tests `segue run --detect`.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "command.h"
#include "detectors.h"
#include "environment.h"
#include "segue/file.h"

namespace segue {
namespace {

using ::testing::HasSubstr;
using testing::kUsage;
using testing::run_segue;
using testing::ScratchFolder;

// A folder with a detector in two segments, and pictures.
class Detecting {
 public:
  Detecting() {
    testing::write_bytes(path("yolo.tflite"), testing::small_yolo_builder().bytes());
    EXPECT_EQ(run_segue({"split", path("yolo.tflite"), "--tpus", "2", "-o", path("parts")}).status,
              0);
    for (const auto& [name, seed] : {std::pair("a.ppm", 1), std::pair("b.ppm", 2)}) {
      const Picture picture = testing::random_picture(60, 90, static_cast<std::uint64_t>(seed));
      std::ofstream(path(name)) << "P6 60 90 255\n"
                                << std::string(picture.rgb.begin(), picture.rgb.end());
    }
  }
  [[nodiscard]] std::string path(const std::string& name) const {
    return (scratch_.path() / name).string();
  }
  [[nodiscard]] testing::CommandResult run(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"run", path("parts")});
    return run_segue(arguments);
  }
  // Returns the detections of the whole model in a picture.
  [[nodiscard]] std::vector<Detection> expected(const std::string& picture) const {
    const Model model = read_model(path("yolo.tflite"));
    const Detector detector(model);
    const auto prepared = detector.prepare(read_picture(path(picture)));
    const auto session = testing::cpu_backend().open(model.bytes(), "yolo");
    const std::span<const std::byte> input(prepared.input);
    return detector.decode(session->run({&input, 1}), prepared.placement);
  }

 private:
  ScratchFolder scratch_;
};

TEST(CliDetect, JsonHasTheBoxesOfTheWholeModel) {
  const Detecting detecting;
  const auto result = detecting.run(
      {"--detect", "--input", detecting.path("a.ppm"), detecting.path("b.ppm"), "--json"});
  ASSERT_EQ(result.status, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  ASSERT_EQ(json["detected"].size(), 2U);
  for (const auto& [at, name] : {std::pair(0, "a.ppm"), std::pair(1, "b.ppm")}) {
    const auto& detected = json["detected"][static_cast<std::size_t>(at)];
    EXPECT_EQ(detected["file"], detecting.path(name));
    EXPECT_EQ(detected["width"], 60);
    EXPECT_EQ(detected["height"], 90);
    const auto expected = detecting.expected(name);
    ASSERT_FALSE(expected.empty());
    ASSERT_EQ(detected["boxes"].size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const auto& box = detected["boxes"][i];
      EXPECT_EQ(box["class"], expected[i].class_id);
      EXPECT_NEAR(box["score"], expected[i].score, 1e-4);
      EXPECT_NEAR(box["left"], expected[i].left, 1e-4);
      EXPECT_NEAR(box["bottom"], expected[i].bottom, 1e-4);
    }
  }
  EXPECT_EQ(json["stages"].back()["segment"], "detection");
  EXPECT_EQ(json["stages"].back()["on_host"], true);
}

TEST(CliDetect, TextHasLabelsAndTheTimeOfTheHost) {
  const Detecting detecting;
  std::ofstream(detecting.path("labels.txt")) << "cat\ndog\ncar\nbird\n";
  const auto result = detecting.run({"--detect", "--input", detecting.path("a.ppm"), "--labels",
                                     detecting.path("labels.txt"), "--inputs", "5"});
  ASSERT_EQ(result.status, 0) << result.err;
  const auto expected = detecting.expected("a.ppm");
  EXPECT_THAT(result.out, HasSubstr(fmt::format("a.ppm, 60 x 90 pixels: {} objects\n  label  score",
                                                expected.size())));
  const std::array labels{"cat", "dog", "car", "bird"};
  EXPECT_THAT(result.out, HasSubstr(fmt::format("{:<5}  {:.3f}", labels.at(expected[0].class_id),
                                                expected[0].score)));
  EXPECT_THAT(result.out, HasSubstr("\n   host "));
  EXPECT_THAT(result.out, HasSubstr("With detection on the host ("));
}

TEST(CliDetect, ScoreAboveAllLeavesNoBox) {
  const Detecting detecting;
  const auto result =
      detecting.run({"--detect", "--score", "1", "--input", detecting.path("a.ppm")});
  EXPECT_THAT(result.out, HasSubstr("a.ppm, 60 x 90 pixels: 0 objects\n\n"));
}

TEST(CliDetect, DrawingOverAnInputIsRefused) {
  const Detecting detecting;
  const std::string picture = detecting.path("a.ppm");
  const auto before = read_picture(picture).rgb;
  const auto result = detecting.run({"--detect", "--input", picture, "--draw", picture});
  EXPECT_EQ(result.status, 2);
  EXPECT_THAT(result.err, HasSubstr("also the input --input"));
  EXPECT_EQ(read_picture(picture).rgb, before);
}

TEST(CliDetect, DrawnPictureHasTheBoxes) {
  const Detecting detecting;
  const auto result = detecting.run(
      {"--detect", "--input", detecting.path("a.ppm"), "--draw", detecting.path("out.png")});
  ASSERT_EQ(result.status, 0) << result.err;
  const Picture drawn = read_picture(detecting.path("out.png"));
  const Picture given = read_picture(detecting.path("a.ppm"));
  ASSERT_EQ(drawn.width, 60U);
  ASSERT_EQ(drawn.height, 90U);
  EXPECT_NE(drawn.rgb, given.rgb);
  // The lower left corner of the best box, drawn last, has the colour of its class.
  const Detection best = detecting.expected("a.ppm")[0];
  const auto pixel = [&](const Picture& of, long x, long y) {
    const auto at = of.rgb.begin() + (std::clamp(y, 0L, 89L) * 60 + std::clamp(x, 0L, 59L)) * 3;
    return std::vector<std::uint8_t>(at, at + 3);
  };
  const long x = std::lround(best.left);
  const long y = std::lround(best.bottom) - 1;
  EXPECT_EQ(pixel(drawn, x, y), pixel(drawn, x + 1, y));
  EXPECT_NE(pixel(drawn, x, y), pixel(given, x, y));
}

TEST(CliDetect, OptionsThatDoNotFitAreRefused) {
  const Detecting detecting;
  const std::string picture = detecting.path("a.ppm");
  const auto refused = [&](std::vector<std::string> arguments, const std::string& part) {
    testing::expect_failure(detecting.run(std::move(arguments)), kUsage, part);
  };
  refused({"--detect"}, "--detect requires --input");
  refused({"--input", picture, "--score", "0.5"}, "--score requires --detect");
  refused({"--input", picture, "--draw", "x.png"}, "--draw requires --detect");
  refused({"--input", picture, "--family", "yolov5"}, "--family requires --detect");
  refused({"--detect", "--input", picture, "--csv"}, "--csv");
  refused({"--detect", "--input", picture, picture, "--draw", "x.png"}, "names 2");
  refused({"--detect", "--input", picture, "--score", "2"}, "--score");
  refused({"--detect", "--input", detecting.path("yolo.tflite")}, "no picture that Segue reads");
}

TEST(CliDetect, ClassifierIsRefusedWithItsOutput) {
  const ScratchFolder scratch;
  const std::string folder = scratch.path() / "parts";
  ASSERT_EQ(run_segue({"split", "zoo:squeezenet@64", "--tpus", "2", "-o", folder}).status, 0);
  std::ofstream(scratch.path() / "p.ppm") << "P6 1 1 255\nabc";
  const auto result = run_segue({"run", folder, "--detect", "--input", scratch.path() / "p.ppm"});
  EXPECT_NE(result.status, 0);
  EXPECT_THAT(result.err, HasSubstr("are not those of a detector that Segue decodes"));
}

TEST(CliDetect, RunWithDetectionFitsItsPlanInReports) {
  const Detecting detecting;
  const auto run = detecting.run({"--detect", "--input", detecting.path("a.ppm"), "--json"});
  std::ofstream(detecting.path("run.json")) << run.out;
  const auto report = run_segue({"report", detecting.path("parts/plan.json"), "--model",
                                 detecting.path("yolo.tflite"), "--run", detecting.path("run.json"),
                                 "-o", detecting.path("page.html")});
  EXPECT_EQ(report.status, 0) << report.err;
}

}  // namespace
}  // namespace segue
