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

// --- planned decoding

constexpr std::uint64_t kMostBytes = 1U << 24U;

std::int64_t as_number(const nlohmann::json& value) { return value.get<std::int64_t>(); }

TEST(CliDetect, PlannedDecodingIsComparedWithTheRun) {
  const Detecting detecting;
  const std::string model = detecting.path("yolo.tflite");
  const std::string parts = detecting.path("decoded");
  const auto split = run_segue({"split", model, "--tpus", "2", "--detect", "-o", parts});
  ASSERT_EQ(split.status, 0) << split.err;
  const auto run_of = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"run", parts, "--json"});
    return nlohmann::json::parse(run_segue(more).out);
  };
  const auto plan = nlohmann::json::parse(read_text_file(parts + "/plan.json", kMostBytes));
  const auto time_ns = as_number(plan["decoding"]["time_ns"]);
  const auto detected = run_of({"--detect", "--input", detecting.path("a.ppm")});
  EXPECT_EQ(detected["simulated"]["latency_ns"], plan["predicted"]["latency_ns"]);
  EXPECT_EQ(detected["stages"].back()["simulated_ns"], time_ns);
  // Without --detect nothing is decoded.
  EXPECT_EQ(run_of({"--inputs", "2"})["simulated"]["latency_ns"],
            as_number(plan["predicted"]["latency_ns"]) - time_ns);
  const auto text = run_segue({"run", parts, "--detect", "--input", detecting.path("a.ppm")});
  EXPECT_THAT(text.out, testing::HasWords("Decoding on the host: "));
  EXPECT_THAT(text.out, testing::HasWords("predicted, "));
  EXPECT_EQ(run_segue({"verify", model, parts + "/plan.json"}).status, 0);
  auto fewer = nlohmann::ordered_json::parse(read_text_file(parts + "/plan.json", kMostBytes));
  fewer["decoding"]["boxes"] = 7;
  std::ofstream(detecting.path("fewer.json")) << fewer;
  const auto verified = run_segue({"verify", model, detecting.path("fewer.json")});
  EXPECT_EQ(verified.status, testing::kMismatch);
  EXPECT_THAT(verified.out, testing::HasWords("decoding is of 7 boxes and 252 scores, but the "
                                              "model has 63 and 252"));
}

TEST(CliDetect, SimulationHasDecodingAsItsLastRow) {
  const Detecting detecting;
  const auto result =
      run_segue({"simulate", detecting.path("yolo.tflite"), "--tpus", "2", "--detect", "--csv"});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("\nhost,0,-,-,"));
  const auto plan =
      run_segue({"plan", detecting.path("yolo.tflite"), "--tpus", "2", "--detect", "--csv"});
  EXPECT_THAT(plan.out, HasSubstr("\nhost,-,-,-,-,-,-,-,-,-,-,-,"));
  const auto page = run_segue({"report", detecting.path("yolo.tflite"), "--tpus", "1..2",
                               "--detect", "-o", detecting.path("page.html")});
  ASSERT_EQ(page.status, 0) << page.err;
  const std::string text = read_text_file(detecting.path("page.html"), kMostBytes);
  EXPECT_THAT(text, HasSubstr("Decoding on the host (YOLOv5, 63 rows)"));
  EXPECT_THAT(text, HasSubstr("\"decoding\""));
}

TEST(CliDetect, DecodingThatDoesNotFitIsRefused) {
  const Detecting detecting;
  const std::string model = detecting.path("yolo.tflite");
  testing::expect_failure(run_segue({"plan", model, "--family", "yolov5"}), kUsage,
                          "--family requires --detect");
  testing::expect_failure(run_segue({"plan", model, "--tpus", "1", "--detect", "--family", "ssd"}),
                          testing::kModel, "are not those of");
  testing::expect_failure(run_segue({"plan", "zoo:conv5-f32", "--tpus", "1", "--detect"}),
                          testing::kModel, "are not those of a detector");
  const std::string plan = detecting.path("parts/plan.json");
  testing::expect_failure(run_segue({"simulate", plan, "--detect"}), kUsage,
                          "--detect: cannot be combined with a plan.json");
}

}  // namespace
}  // namespace segue
