// Tests commands on folders of segments without a plan, as Google's compiler writes them.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "command.h"
#include "environment.h"

namespace segue {
namespace {

namespace fs = std::filesystem;
using testing::expect_failure;
using testing::HasWords;
using testing::kFile;
using testing::kUsage;
using testing::run_segue;
using testing::ScratchFolder;

// `cut`: a split of squeezenet in two. `compiled`: only its compiled segments, without plan.json.
class CliSegments : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(run_segue({"split", "zoo:squeezenet@64", "--tpus", "2", "--strategy", "balanced",
                         "-o", cut()})
                  .status,
              0);
    ASSERT_EQ(run_segue({"compile", cut(), "--compiler-cmd", SEGUE_TEST_COMPILER}).status, 0);
    fs::create_directory(compiled());
    for (const char* segment : {"0", "1"}) {
      const std::string name = std::string("squeezenet@64_segment_") + segment + "_of_2_edgetpu";
      fs::copy_file(fs::path(cut()) / (name + ".tflite"),
                    fs::path(compiled()) / (name + ".tflite"));
    }
  }

  [[nodiscard]] std::string cut() const { return (scratch_.path() / "cut").string(); }
  [[nodiscard]] std::string compiled() const { return (scratch_.path() / "compiled").string(); }
  // Runs the command and returns the outputs of three inputs.
  [[nodiscard]] std::vector<std::vector<std::byte>> outputs_of(std::vector<std::string> run) const {
    const fs::path folder = scratch_.path() / "out";
    fs::remove_all(folder);
    run.insert(run.end(), {"--inputs", "3", "-o", folder.string()});
    const auto result = run_segue(run);
    EXPECT_EQ(result.status, 0) << result.err;
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
    std::ranges::sort(files);
    std::vector<std::vector<std::byte>> outputs;
    for (const fs::path& file : files) outputs.push_back(testing::read_bytes(file));
    return outputs;
  }

 private:
  ScratchFolder scratch_;
};

TEST_F(CliSegments, CompiledFilesAloneRunOnEdgeTpus) {
  const auto outputs = outputs_of(
      {"run", compiled(), "--backend", "edgetpu", "--edgetpu-library", SEGUE_TEST_STAND_IN});
  EXPECT_EQ(outputs.size(), 3U);
  EXPECT_EQ(outputs, outputs_of({"run", cut()}));
  fs::remove(fs::path(cut()) / "plan.json");
  EXPECT_EQ(outputs, outputs_of({"run", cut()}));
}

TEST_F(CliSegments, CompiledFilesAloneAreRefusedOnCpu) {
  for (const char* backend : {"cpu", "simulated"}) {
    expect_failure(run_segue({"run", compiled(), "--backend", backend}), kUsage,
                   "run only on Edge TPUs (--backend edgetpu");
  }
  expect_failure(run_segue({"verify", "zoo:squeezenet@64", compiled()}), kUsage,
                 "need the original segments (squeezenet@64_segment_I_of_2.tflite)");
  expect_failure(run_segue({"compile", compiled(), "--compiler-cmd", SEGUE_TEST_COMPILER}), kUsage,
                 "need the original segments");
}

TEST_F(CliSegments, FilePathSelectsSetAmongSeveral) {
  fs::copy_file(fs::path(cut()) / "squeezenet@64_segment_0_of_2.tflite",
                fs::path(compiled()) / "other_segment_0_of_1.tflite");
  const auto several = run_segue({"run", compiled(), "--backend", "edgetpu"});
  expect_failure(several, kFile,
                 "segments of 2 different splits (other_segment_I_of_1.tflite, "
                 "squeezenet@64_segment_I_of_2_edgetpu.tflite)");
  const std::string file = compiled() + "/squeezenet@64_segment_1_of_2_edgetpu.tflite";
  EXPECT_EQ(
      outputs_of({"run", file, "--backend", "edgetpu", "--edgetpu-library", SEGUE_TEST_STAND_IN})
          .size(),
      3U);
}

TEST_F(CliSegments, InspectHasTextCsvAndJson) {
  const auto json = nlohmann::json::parse(run_segue({"inspect", cut(), "--json"}).out);
  EXPECT_EQ(json["schema"], "segue.segments/1");
  ASSERT_EQ(json["segments"].size(), 2U);
  const auto& last = json["segments"][1];
  EXPECT_EQ(last["file"], "squeezenet@64_segment_1_of_2.tflite");
  EXPECT_EQ(json["segments"][0]["outputs"], last["inputs"]);
  const auto text = run_segue({"inspect", cut()});
  EXPECT_EQ(text.status, 0) << text.err;
  EXPECT_THAT(text.out, HasWords("2 segments, in order"));
  EXPECT_THAT(text.out, HasWords("input -> segment 0: "));
  EXPECT_THAT(text.out, HasWords("segment 0 -> segment 1: "));
  EXPECT_THAT(text.out, HasWords("segment 1 -> output: "));
  const std::string csv = run_segue({"inspect", cut(), "--csv"}).out;
  EXPECT_THAT(csv,
              HasWords("1,squeezenet@64_segment_1_of_2.tflite," + last["operators"].dump() + "," +
                       last["file_bytes"].dump() + "," + last["parameter_bytes"].dump()));
  expect_failure(run_segue({"inspect", cut(), "--brief"}), kUsage, "requires a model");
}

TEST(CliInspect, GoogleSegmentsShowTheirPrograms) {
  const auto first = testing::shared("models/ssd_mobilenet_v1_segment_0_of_4_edgetpu.tflite");
  SKIP_WITHOUT(first);
  const std::string folder = first.parent_path().string();
  const auto json = nlohmann::json::parse(run_segue({"inspect", folder, "--json"}).out);
  ASSERT_EQ(json["segments"].size(), 4U);
  EXPECT_EQ(json["segments"][0]["cached_parameter_bytes"], 1'741'056);
  const auto text = run_segue({"inspect", folder});
  EXPECT_THAT(text.out, HasWords("4 segments, compiled for the Edge TPU"));
  EXPECT_THAT(text.out, HasWords("segment 0 -> segment 3: FeatureExtractor/"));
  EXPECT_THAT(text.out, HasWords("segment 3 -> output: TFLite_Detection_PostProcess:3"));
}

TEST_F(CliSegments, IncompleteSetsAreRefused) {
  fs::remove(compiled() + "/squeezenet@64_segment_0_of_2_edgetpu.tflite");
  for (const std::vector<std::string>& command : {std::vector<std::string>{"inspect", compiled()},
                                                  {"run", compiled(), "--backend", "edgetpu"}}) {
    expect_failure(
        run_segue(command), kFile,
        "squeezenet@64_segment_0_of_2_edgetpu.tflite: file not found; only 1 of 2 segments exist");
  }
}

}  // namespace
}  // namespace segue
