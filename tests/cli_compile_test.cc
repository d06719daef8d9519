// Tests `segue compile` and the other commands that call Google's compiler.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "command.h"
#include "environment.h"
#include "segue/file.h"

namespace segue {
namespace {

using testing::HasWords;
using testing::kCompiler;
using testing::kUsage;
using ::testing::Not;
using testing::run_segue;
using testing::ScratchFolder;

const std::string kStandIn = SEGUE_TEST_COMPILER;

class CliCompile : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(run_segue({"split", "zoo:squeezenet@64", "--tpus", "2", "--strategy", "balanced",
                         "-o", folder()})
                  .status,
              0);
  }
  [[nodiscard]] std::string folder() const { return (scratch_.path() / "parts").string(); }
  [[nodiscard]] const std::filesystem::path& scratch() const { return scratch_.path(); }

 private:
  ScratchFolder scratch_;
};

TEST_F(CliCompile, ReportsShowCompiledAndSimulatedMemory) {
  const auto text = run_segue({"compile", folder(), "--compiler-cmd", kStandIn});
  EXPECT_EQ(text.status, 0) << text.err;
  EXPECT_THAT(text.out, HasWords("on chip, 0 B streamed from the host (simulated: "));
  EXPECT_THAT(text.out, HasWords("2 files compiled by edgetpu_compiler 16.0.384591198"));
  const auto json = nlohmann::json::parse(
      run_segue({"compile", folder(), "--json"}, ".", "export SEGUE_EDGETPU_COMPILER=" + kStandIn)
          .out);
  EXPECT_EQ(json["schema"], "segue.compile/1");
  ASSERT_EQ(json["files"].size(), 2U);
  EXPECT_EQ(json["files"][0]["compiled"]["host_bytes"], 0);
  EXPECT_TRUE(json["files"][0]["failure"].is_null());
  const auto csv = run_segue({"compile", folder(), "--csv", "--compiler-cmd", kStandIn});
  EXPECT_THAT(csv.out,
              HasWords("file,succeeded,on_chip_bytes,host_bytes,operators,host_operators"));
  // All commands can still read the plan.
  const std::string plan = folder() + "/plan.json";
  EXPECT_THAT(read_text_file(plan, 1 << 24U), HasWords("\"compiler\": \"16.0.384591198\""));
  EXPECT_EQ(run_segue({"verify", "zoo:squeezenet@64", folder()}).status, 0);
  EXPECT_EQ(run_segue({"simulate", plan}).status, 0);
  EXPECT_EQ(run_segue({"run", folder(), "--inputs", "3"}).status, 0);
}

TEST_F(CliCompile, FailureNamesSegmentReasonAndOperator) {
  const std::vector<std::string> arguments{
      "compile", folder(), "--attempts", "1", "--compiler-cmd", kStandIn + " fault=large:SOFTMAX"};
  const auto result = run_segue(arguments);
  EXPECT_EQ(result.status, kCompiler);
  EXPECT_THAT(result.err, HasWords("segment_1_of_2.tflite: Compilation failed"));
  EXPECT_THAT(result.out, HasWords("segment_1_of_2.tflite: failed: Compilation failed"));
  EXPECT_THAT(result.out, HasWords("use a smaller input image"));
  EXPECT_THAT(result.out, HasWords("Cause: SOFTMAX #"));
  EXPECT_THAT(result.out, HasWords("1 of 2 files failed to compile; plan.json is unchanged"));
  auto without = arguments;
  without.emplace_back("--no-bisect");
  EXPECT_THAT(run_segue(without).out, Not(HasWords("Cause:")));
  auto as_json = arguments;
  as_json.emplace_back("--json");
  const auto json = nlohmann::json::parse(run_segue(as_json).out);
  EXPECT_EQ(json["files"][1]["failure"]["kind"], "large_activations");
  EXPECT_EQ(json["files"][1]["failure"]["culprit"]["operators"].size(), 1U);
}

// Operators that the compiler left to the host have host times in all commands that show the plan.
TEST_F(CliCompile, HostOperatorsInLogAreTimed) {
  const auto host_ns = [&](const std::string& json) {
    std::uint64_t sum = 0;
    const auto document = nlohmann::json::parse(json);
    for (const auto& stage : document["stages"])
      sum += stage["time_ns"]["host"].get<std::uint64_t>();
    return sum;
  };
  const std::string plan = folder() + "/plan.json";
  const std::uint64_t before = host_ns(read_text_file(plan, 1 << 24U));
  const auto text =
      run_segue({"compile", folder(), "--compiler-cmd", kStandIn + " leaves=CONCATENATION"});
  EXPECT_EQ(text.status, 0) << text.err;
  EXPECT_THAT(text.out, HasWords("on the host: 7 CONCATENATION: Operation not supported"));
  EXPECT_THAT(text.out, HasWords("8 operators run on the host CPU: "));
  const auto written = nlohmann::json::parse(read_text_file(plan, 1 << 24U));
  EXPECT_EQ(written["stages"][0]["host_operators"],
            written["stages"][0]["compiled"]["operators_on_host"].size());
  const std::uint64_t after = host_ns(written.dump());
  EXPECT_GT(after, before);
  EXPECT_EQ(host_ns(run_segue({"simulate", plan, "--json"}).out), after);
  EXPECT_EQ(host_ns(run_segue({"simulate", plan, "--model", "zoo:squeezenet@64", "--json"}).out),
            after);
  const std::string page = (scratch() / "page.html").string();
  ASSERT_EQ(run_segue({"report", plan, "--model", "zoo:squeezenet@64", "-o", page}).status, 0);
  EXPECT_THAT(read_text_file(page, 1 << 24U), HasWords("8 operators run on the host CPU: "));
}

TEST_F(CliCompile, AllOperatorsOnHostExitsWith5) {
  const auto result = run_segue({"compile", folder(), "--compiler-cmd", kStandIn + " leaves=ALL"});
  EXPECT_EQ(result.status, kCompiler);
  EXPECT_THAT(result.err, HasWords("_segment_0_of_2.tflite: 0 of "));
  EXPECT_THAT(result.err, Not(HasWords("searching for")));
  EXPECT_THAT(result.out, HasWords("the whole file would run on the host CPU"));
  EXPECT_THAT(result.out, HasWords("2 of 2 files failed to compile; plan.json is unchanged"));
  const auto json = nlohmann::json::parse(
      run_segue({"compile", folder(), "--json", "--compiler-cmd", kStandIn + " leaves=ALL"}).out);
  EXPECT_EQ(json["files"][0]["failure"]["kind"], "nothing_mapped");
}

TEST_F(CliCompile, FileAccessFailureSkipsOperatorSearch) {
  const auto result = run_segue({"compile", folder(), "--compiler-cmd", kStandIn + " fault=write"});
  EXPECT_EQ(result.status, kCompiler);
  EXPECT_THAT(result.err, HasWords("Error opening file for writing"));
  EXPECT_THAT(result.err, Not(HasWords("searching for")));
  EXPECT_THAT(result.out, HasWords("free some disk space"));
  EXPECT_THAT(result.out, Not(HasWords("ause:")));
  EXPECT_THAT(result.out, HasWords("Compiler output of 1 attempt: "));
}

TEST_F(CliCompile, FailedOperatorSearchIsReported) {
  const std::string mark = (scratch() / "mark").string();
  const auto result =
      run_segue({"compile", folder(), "--jobs", "1", "--attempts", "1", "--compiler-cmd",
                 kStandIn + " fault=internal16 passes_after=" + mark});
  EXPECT_EQ(result.status, kCompiler);
  EXPECT_THAT(result.err, HasWords("Internal error.; searching for the operator"));
  EXPECT_THAT(result.out, HasWords("No operator was found as the cause"));
}

TEST_F(CliCompile, CompilerOwnSegmentationIsRefused) {
  testing::expect_failure(
      run_segue({"compile", folder(), "--compiler-cmd", kStandIn + " --num_segments 2"}), kUsage,
      "the segmentation of edgetpu_compiler ends without a message, or crashes");
}

TEST_F(CliCompile, MissingCompilerAndBadOptionsAreNamed) {
  const auto missing = run_segue({"compile", folder(), "--compiler-cmd", "/no/such/compiler"});
  EXPECT_EQ(missing.status, kCompiler);
  EXPECT_THAT(missing.err, HasWords("/no/such/compiler"));
  EXPECT_THAT(missing.err, HasWords("coral.ai/docs/edgetpu/compiler"));
  EXPECT_EQ(run_segue({"compile", folder(), "--compiler-cmd", " "}).status, kUsage);
  EXPECT_EQ(run_segue({"compile", folder(), "-o", "x", "--compiler-cmd", kStandIn}).status, kUsage);
  EXPECT_EQ(run_segue({"compile", folder(), "--delegate-search-step", "3"}).status, kUsage);
  EXPECT_EQ(run_segue({"plan", "zoo:squeezenet@64", "--tpus", "2", "--strategy", "optimal",
                       "--compiler-cmd", kStandIn})
                .status,
            kUsage);
}

TEST_F(CliCompile, WholeModelOutputPathIsRespected) {
  ASSERT_EQ(run_segue({"zoo", "conv5-f32", "-o", "m.tflite"}, scratch()).status, 0);
  EXPECT_EQ(run_segue({"compile", "m.tflite", "--compiler-cmd", kStandIn}, scratch()).status, 0);
  EXPECT_TRUE(std::filesystem::exists(scratch() / "m_edgetpu.tflite"));
  // The command is relative to the current folder.
  std::filesystem::create_symlink(kStandIn, scratch() / "mine");
  const auto again = run_segue({"compile", "m.tflite", "--compiler-cmd", "./mine"}, scratch());
  EXPECT_EQ(again.status, kUsage);
  EXPECT_THAT(again.err, HasWords("m_edgetpu.tflite: already exists"));
  std::filesystem::remove(scratch() / "m_edgetpu.tflite");
  EXPECT_EQ(run_segue({"compile", "m.tflite", "--compiler-cmd", "./mine"}, scratch()).status, 0);
  EXPECT_EQ(
      run_segue({"compile", "m.tflite", "-o", "out", "--compiler-cmd", kStandIn}, scratch()).status,
      0);
  EXPECT_TRUE(std::filesystem::exists(scratch() / "out" / "m_edgetpu.tflite"));
  EXPECT_TRUE(std::filesystem::exists(scratch() / "out" / "m_edgetpu.log"));
}

TEST_F(CliCompile, ForeignSegmentsLeavePlanUnchanged) {
  const auto plan_path = std::filesystem::path(folder()) / "plan.json";
  auto plan = nlohmann::ordered_json::parse(read_text_file(plan_path, 1 << 24U));
  plan["stages"][1]["outputs"] = {"elsewhere"};
  write_file(plan_path, plan.dump());
  testing::expect_failure(run_segue({"compile", folder(), "--compiler-cmd", kStandIn}), kUsage,
                          "does not match stage 1 of plan.json");
  EXPECT_EQ(read_text_file(plan_path, 1 << 24U), plan.dump());
}

TEST_F(CliCompile, BalancedPlanIsRefinedByCompiler) {
  const std::string plan = (scratch() / "plan.json").string();
  const auto result = run_segue({"plan", "zoo:resnet50@64", "--tpus", "6", "--strategy", "balanced",
                                 "--compiler-cmd", kStandIn + " capacity=5600000", "-o", plan});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out,
              HasWords("Memory sizes are those reported by edgetpu_compiler 16.0.384591198."));
  EXPECT_THAT(read_text_file(plan, 1 << 24U), HasWords("simulated_host_bytes"));
}

// Compiled segments run on stand-ins for devices, one of which vanishes.
TEST_F(CliCompile, LostTpuTriggersReplanAndRecompile) {
  ASSERT_EQ(run_segue({"compile", folder(), "--compiler-cmd", kStandIn}).status, 0);
  const std::vector<std::string> arguments{
      "run", folder(), "--backend",         "edgetpu",          "--inputs",
      "12",  "--json", "--edgetpu-library", SEGUE_TEST_STAND_IN};
  const auto plain = run_segue(arguments);
  EXPECT_EQ(plain.status, 0) << plain.err;
  EXPECT_EQ(nlohmann::json::parse(plain.out)["measured"]["results"], 12);
  // Without a spare and a model, the run reports its results until the loss, and a remedy.
  auto on_two = arguments;
  for (const char* word : {"--use", "pci:apex_0", "--use", "pci:apex_1"}) on_two.emplace_back(word);
  const auto lost = run_segue(on_two, ".", "export STAND_IN_VANISHES=1:5");
  EXPECT_EQ(lost.status, 6);
  EXPECT_THAT(lost.err, HasWords("no device is left"));
  EXPECT_THAT(lost.err, HasWords("with --model MODEL"));
  EXPECT_EQ(nlohmann::json::parse(lost.out)["measured"]["results"], 5);
  auto replanned = on_two;
  for (const char* word : {"--model", "zoo:squeezenet@64", "--compiler-cmd", kStandIn.c_str()})
    replanned.emplace_back(word);
  const auto result = run_segue(replanned, ".", "export STAND_IN_VANISHES=1:5");
  EXPECT_EQ(result.status, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["measured"]["results"], 12);
  ASSERT_EQ(json["losses"].size(), 1U);
  EXPECT_EQ(json["losses"][0]["remedy"], "a new plan for 1 device");
  EXPECT_EQ(json["stages"].size(), 1U);
}

}  // namespace
}  // namespace segue
