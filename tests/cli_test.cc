// Tests output, exit statuses and messages of the commands.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "command.h"
#include "environment.h"
#include "expect.h"
#include "model_builder.h"
#include "segue/file.h"
#include "segue/model.h"
#include "segue/units.h"

namespace segue {
namespace {

namespace fs = std::filesystem;
using testing::expect_failure;
using testing::HasWords;
using testing::kDevice;
using testing::kFile;
using testing::kInfeasible;
using testing::kMismatch;
using testing::kModel;
using testing::kUsage;
using testing::run_segue;
using testing::ScratchFolder;
using ::testing::StartsWith;

TEST(Cli, ZooModelSplitVerifies) {
  const ScratchFolder scratch;
  const std::string folder = (scratch.path() / "parts").string();
  const auto split = run_segue(
      {"split", "zoo:squeezenet@64", "--tpus", "3", "--strategy", "balanced", "-o", folder});
  EXPECT_EQ(split.status, 0) << split.err;
  EXPECT_TRUE(fs::exists(scratch.path() / "parts" / "squeezenet@64_segment_2_of_3.tflite"));
  EXPECT_TRUE(fs::exists(scratch.path() / "parts" / "plan.json"));
  const auto verify = run_segue({"verify", "zoo:squeezenet@64", folder, "--json"});
  EXPECT_EQ(verify.status, 0) << verify.err;
  const auto report = nlohmann::json::parse(verify.out);
  EXPECT_EQ(report["agrees"], true);
  EXPECT_EQ(report["segment_count"], 3);
  const auto xnnpack = run_segue({"verify", "zoo:squeezenet@64", folder, "--kernels", "xnnpack"});
  EXPECT_EQ(xnnpack.status, 0) << xnnpack.err;
  EXPECT_THAT(xnnpack.out, HasWords("XNNPACK"));
}

TEST(Cli, SplitFollowsPlanFile) {
  const ScratchFolder scratch;
  const std::string plan = (scratch.path() / "plan.json").string();
  EXPECT_EQ(
      run_segue({"plan", "zoo:squeezenet@64", "--tpus", "4", "--strategy", "balanced", "-o", plan})
          .status,
      0);
  const std::string folder = (scratch.path() / "parts").string();
  EXPECT_EQ(run_segue({"split", "zoo:squeezenet@64", "--plan", plan, "-o", folder}).status, 0);
  EXPECT_EQ(read_text_file(scratch.path() / "parts" / "plan.json", 1 << 20),
            read_text_file(plan, 1 << 20));
}

TEST(Cli, SplitAtNamedTensorsVerifies) {
  const ScratchFolder scratch;
  const std::string folder = (scratch.path() / "parts").string();
  const auto result = run_segue(
      {"split", "zoo:mobilenet@96", "--at", "conv_pw_3_relu,conv_pw_9_relu", "-o", folder});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(run_segue({"verify", "zoo:mobilenet@96", folder, "--inputs", "1"}).status, 0);
}

TEST(Cli, PlanTextJsonAndCsvAgree) {
  const std::vector<std::string> arguments{"plan", "zoo:conv5-f102", "--tpus",
                                           "2",    "--strategy",     "balanced"};
  const auto with = [&](const std::string& flag) {
    auto more = arguments;
    more.push_back(flag);
    return run_segue(more);
  };
  const auto json = nlohmann::json::parse(with("--json").out);
  EXPECT_EQ(json["schema"], "segue.plan/2");
  ASSERT_EQ(json["stages"].size(), 2U);
  const std::string csv = with("--csv").out;
  EXPECT_EQ(std::ranges::count(csv, '\n'), 3);
  EXPECT_THAT(csv, HasWords(json["stages"][1]["on_chip_bytes"].dump()));
  EXPECT_THAT(run_segue(arguments).out, HasWords("simulated"));
}

TEST(Cli, PlanIsDeterministic) {
  const std::vector<std::string> arguments{"plan",       "zoo:resnet50", "--tpus", "4",
                                           "--strategy", "balanced",     "--json"};
  EXPECT_EQ(run_segue(arguments).out, run_segue(arguments).out);
}

TEST(Cli, ZooListsAndWritesModels) {
  const ScratchFolder scratch;
  EXPECT_THAT(run_segue({"zoo"}).out, HasWords("resnet101"));
  EXPECT_THAT(run_segue({"zoo", "--csv"}).out, HasWords("resnet101,ResNet101,224,44707176"));
  EXPECT_EQ(nlohmann::json::parse(run_segue({"zoo", "--json"}).out)["schema"], "segue.zoo/1");
  EXPECT_EQ(run_segue({"zoo", "conv5-f8"}, scratch.path()).status, 0);
  EXPECT_NO_THROW((void)read_model(scratch.path() / "conv5-f8.tflite"));
}

TEST(Cli, InspectShowsOperatorsUnlessBrief) {
  const auto result = run_segue({"inspect", "zoo:conv5-f8"});
  EXPECT_EQ(result.status, 0);
  EXPECT_THAT(result.out, HasWords("CONV_2D"));
  EXPECT_THAT(run_segue({"inspect", "zoo:conv5-f8", "--brief"}).out,
              ::testing::Not(HasWords("CONV_2D")));
}

TEST(Cli, InspectListsCompiledProgramsAsCsv) {
  const auto path = testing::shared("models/ssd_mobilenet_v1_segment_0_of_4_edgetpu.tflite");
  SKIP_WITHOUT(path);
  const auto json = nlohmann::json::parse(run_segue({"inspect", path, "--json"}).out);
  const std::string csv = run_segue({"inspect", path, "--csv"}).out;
  EXPECT_THAT(csv, StartsWith("program,operator,type,cached_parameter_bytes,streamed_parameter"));
  for (const auto& program : json["executables"])
    EXPECT_THAT(csv, HasWords(program["cached_parameter_bytes"].dump()));
}

TEST(Cli, HelpAndVersionSucceed) {
  EXPECT_THAT(run_segue({"--help"}).out, HasWords("Exit status"));
  EXPECT_EQ(run_segue({"--version"}).status, 0);
  for (const char* command :
       {"zoo", "inspect", "plan", "split", "verify", "simulate", "compare", "paper"})
    EXPECT_EQ(run_segue({command, "--help"}).status, 0) << command;
}

TEST(CliUsage, UserErrorsExitWith2AndHint) {
  const ScratchFolder scratch;
  const std::string folder = (scratch.path() / "parts").string();
  expect_failure(run_segue({}), kUsage, "subcommand");
  expect_failure(run_segue({"plan", "zoo:resnet50"}), kUsage, "--tpus");
  expect_failure(run_segue({"plan", "zoo:resnet50", "--tpus", "0", "--strategy", "balanced"}),
                 kUsage, "--tpus");
  expect_failure(
      run_segue({"plan", "zoo:resnet50", "--tpus", "2", "--strategy", "balanced", "-o", ""}),
      kUsage, "--output: the value is empty; give a value");
  expect_failure(run_segue({"plan", "zoo:resnet50", "--tpus", "-3", "--strategy", "balanced"}),
                 kUsage, "--tpus");
  expect_failure(run_segue({"plan", "zoo:resnet50", "--tpus", "many", "--strategy", "balanced"}),
                 kUsage, "--tpus");
  expect_failure(run_segue({"plan", "zoo:resnet50", "--tpus", "2", "--strategy", "best"}), kUsage,
                 "balanced");
  expect_failure(run_segue({"plan", "zoo:resnet50", "--tpus", "2", "--strategy", "balanced",
                            "--device", "gpu"}),
                 kUsage, "edgetpu-usb3");
  expect_failure(run_segue({"plan", "zoo:resnet51", "--tpus", "2", "--strategy", "balanced"}),
                 kUsage, "'resnet50'");
  expect_failure(run_segue({"plan", "zoo:resnet50", "--tpus", "2", "--strategy", "balanced",
                            "--json", "--csv"}),
                 kUsage, "--csv");
  expect_failure(run_segue({"split", "zoo:conv5-f8", "-o", folder}), kUsage, "--tpus, --at");
  expect_failure(run_segue({"split", "zoo:conv5-f8", "--tpus", "2", "--strategy", "balanced",
                            "--at", "x", "-o", folder}),
                 kUsage, "--tpus: cannot be combined with --at");
  expect_failure(run_segue({"split", "zoo:conv5-f8", "--at", "conv2d_1", "--strategy", "compiler",
                            "-o", folder}),
                 kUsage, "--strategy");
  expect_failure(run_segue({"inspect", "zoo:conv5-f8", "--brief", "--json"}), kUsage, "--brief");
  expect_failure(run_segue({"inspect", "zoo:conv5-f8", "--brief", "--csv"}), kUsage, "--brief");
  expect_failure(run_segue({"inspect", ""}), kUsage, "MODEL: the value is empty; give a value");
  expect_failure(run_segue({"verify", "zoo:conv5-f8", ".", "--seed", "-1"}), kUsage, "--seed");
  expect_failure(run_segue({"plann", "zoo:resnet50"}), kUsage,
                 "unknown command 'plann'; did you mean 'plan'");
  expect_failure(run_segue({"zoo", "conv5-f8", "--json"}), kUsage, "remove NAME");
  expect_failure(run_segue({"zoo", "-o", folder}), kUsage, "requires the NAME");
  expect_failure(run_segue({"split", "zoo:conv5-f8", "--at", ",", "-o", folder}), kUsage,
                 "a tensor name is empty");
  expect_failure(run_segue({"split", "zoo:conv5-f8", "--at", "conv2d_9", "-o", folder}), kUsage,
                 "no such tensor");
  EXPECT_FALSE(fs::exists(folder));
}

TEST(CliModel, InvalidModelsExitWith3) {
  const ScratchFolder scratch;
  const auto path = [&](const char* name) { return (scratch.path() / name).string(); };
  write_file(path("empty.tflite"), "");
  write_file(path("text.tflite"), "a text that is no model at all, and long enough to look at");
  expect_failure(run_segue({"inspect", path("empty.tflite")}), kModel, "empty");
  expect_failure(run_segue({"plan", path("text.tflite"), "--tpus", "2", "--strategy", "balanced"}),
                 kModel, "not a TensorFlow Lite model");
  expect_failure(run_segue({"inspect", path("absent.tflite")}), kFile, "absent.tflite");
}

TEST(CliPlan, MoreTpusThanDepthsExitsWith4) {
  expect_failure(run_segue({"plan", "zoo:conv5-f8", "--tpus", "9", "--strategy", "balanced"}),
                 kInfeasible, "at most 5");
}

TEST(CliSplit, PlanOfAnotherModelIsRefused) {
  const ScratchFolder scratch;
  const std::string plan = (scratch.path() / "plan.json").string();
  const std::string folder = (scratch.path() / "parts").string();
  EXPECT_EQ(run_segue({"plan", "zoo:conv5-f8", "--tpus", "2", "--strategy", "balanced", "-o", plan})
                .status,
            0);
  expect_failure(run_segue({"split", "zoo:conv5-f16", "--plan", plan, "-o", folder}), kUsage,
                 "conv5-f8");
}

TEST(CliSplit, CompiledModelsAreRefusedWithAdvice) {
  const auto path = testing::shared("models/ssd_mobilenet_v1_segment_0_of_4_edgetpu.tflite");
  SKIP_WITHOUT(path);
  const ScratchFolder scratch;
  for (const char* command : {"plan", "split"}) {
    expect_failure(run_segue({command, path, "--tpus", "2", "-o", scratch.path() / "p"}), kModel,
                   "split the quantized .tflite");
  }
  EXPECT_FALSE(fs::exists(scratch.path() / "p"));
}

TEST(CliSplit, NonTopologicalPlanIsRefused) {
  const ScratchFolder scratch;
  const std::string plan = (scratch.path() / "plan.json").string();
  auto document = nlohmann::ordered_json::parse(
      run_segue({"plan", "zoo:conv5-f8", "--tpus", "2", "--strategy", "balanced", "--json"}).out);
  std::swap(document["stages"][0]["operators"], document["stages"][1]["operators"]);
  write_file(plan, document.dump());
  expect_failure(run_segue({"split", "zoo:conv5-f8", "--plan", plan, "-o", scratch.path() / "p"}),
                 kUsage, "later segment");
}

TEST(CliSplit, EditedPlanBecomesManual) {
  const ScratchFolder scratch;
  auto document = nlohmann::ordered_json::parse(
      run_segue({"plan", "zoo:conv5-f8", "--tpus", "2", "--strategy", "balanced", "--json"}).out);
  const auto strategy_after = [&] {
    write_file(scratch.path() / "plan.json", document.dump());
    EXPECT_EQ(run_segue({"split", "zoo:conv5-f8", "--plan", "plan.json", "-o", "p"}, scratch.path())
                  .status,
              0);
    return nlohmann::json::parse(
        read_text_file(scratch.path() / "p" / "plan.json", 1 << 20))["strategy"];
  };
  EXPECT_EQ(strategy_after(), "balanced");
  const auto as_made = document;
  document = nlohmann::ordered_json::parse(
      run_segue({"plan", "zoo:conv5-f8", "--tpus", "2", "--strategy", "optimal", "--json"}).out);
  EXPECT_EQ(strategy_after(), "optimal");
  document["bound"]["bottleneck_ns"] = 1;
  EXPECT_EQ(strategy_after(), "manual");
  document = as_made;
  auto& first = document["stages"][0]["operators"];
  auto& second = document["stages"][1]["operators"];
  second.insert(second.begin(), first.back());
  first.erase(first.size() - 1);
  EXPECT_EQ(strategy_after(), "manual");
}

TEST(CliSplit, SegmentsOfOtherSplitsAreReported) {
  const ScratchFolder scratch;
  const auto split = [&](const char* tpus) {
    return run_segue({"split", "zoo:conv5-f8", "--tpus", tpus, "--strategy", "balanced", "-o", "p"},
                     scratch.path());
  };
  EXPECT_EQ(split("3").err, "");
  const auto second = split("2");
  EXPECT_EQ(second.status, 0);
  EXPECT_THAT(second.err, HasWords("3 segment files of other splits"));
  EXPECT_EQ(run_segue({"verify", "zoo:conv5-f8", "p"}, scratch.path()).status, 0);
}

TEST(CliVerify, MismatchExitsWith7AndNamesSegment) {
  const ScratchFolder scratch;
  const std::string folder = (scratch.path() / "parts").string();
  EXPECT_EQ(
      run_segue({"split", "zoo:conv5-f8", "--tpus", "2", "--strategy", "balanced", "-o", folder})
          .status,
      0);
  const fs::path segment = scratch.path() / "parts" / "conv5-f8_segment_1_of_2.tflite";
  const Model model = read_model(segment);
  const auto weights = model.tensor(*model.find_tensor("conv2d_4/kernel")).data;
  auto bytes = testing::read_bytes(segment);
  bytes[static_cast<std::size_t>(weights.data() - model.bytes().data())] ^= std::byte{1};
  testing::write_bytes(segment, bytes);
  const auto result = run_segue({"verify", "zoo:conv5-f8", folder});
  EXPECT_EQ(result.status, kMismatch);
  EXPECT_THAT(result.out, HasWords("segment 1"));
}

TEST(CliPlan, NameOfBuiltInNetworkGetsHint) {
  const testing::ScratchFolder scratch;
  expect_failure(run_segue({"plan", "mobilenetv2@96", "--tpus", "2"}, scratch.path()), 1,
                 "write zoo:mobilenetv2@96");
}

TEST(CliPlan, SharedLinkLimitsWhatIsProven) {
  EXPECT_THAT(run_segue({"plan", "zoo:conv5-f312", "--tpus", "2", "--device", "edgetpu-usb3"}).out,
              HasWords("without waiting times on the shared link"));
}

TEST(CliVerify, MissingRuntimeExitsWith6) {
  const ScratchFolder scratch;
  const std::string folder = (scratch.path() / "parts").string();
  EXPECT_EQ(
      run_segue({"split", "zoo:conv5-f8", "--tpus", "2", "--strategy", "balanced", "-o", folder})
          .status,
      0);
  expect_failure(run_segue({"verify", "zoo:conv5-f8", folder, "--runtime", "/none.so"}), kDevice,
                 "/none.so");
}

TEST(CliVerify, FolderWithoutSegmentsIsAFileError) {
  const ScratchFolder scratch;
  expect_failure(run_segue({"verify", "zoo:conv5-f8", scratch.path()}), kFile, "no segment files");
}

// SEGUE_UPDATE_DOCS=1 writes the reference instead of comparing it.
TEST(Documentation, CommandReferenceMatchesProgram) {
  const std::string path = SEGUE_TEST_SOURCE "/docs/commands.md";
  const std::string reference = run_segue({"manual", "--markdown"}).out;
  if (std::getenv("SEGUE_UPDATE_DOCS") != nullptr) write_file(path, reference);
  EXPECT_EQ(read_text_file(path, 1 << 20), reference);
}

// tests/readme_program.cc contains the lines of the README's program. It writes segments that
// verify.
TEST(Readme, ProgramMatchesTestedCodeAndVerifies) {
  const std::string readme = read_text_file(SEGUE_TEST_SOURCE "/README.md", 1 << 20);
  const std::string program = read_text_file(SEGUE_TEST_SOURCE "/tests/readme_program.cc", 1 << 20);
  const std::size_t begin = readme.find("const segue::Model model");
  const std::size_t end = readme.find("```", begin);
  std::istringstream lines(readme.substr(begin, end - begin));
  for (std::string line; std::getline(lines, line);) {
    line.erase(0, line.find_first_not_of(' '));
    EXPECT_THAT(program, HasWords(line));
  }
  const ScratchFolder scratch;
  const std::string folder = scratch.path().string();
  EXPECT_EQ(run_segue({"zoo", "resnet50", "-o", "model.tflite"}, scratch.path()).status, 0);
  EXPECT_EQ(std::system(("cd '" + folder + "' && " SEGUE_TEST_README_PROGRAM).c_str()), 0);
  const auto verify =
      run_segue({"verify", "model.tflite", "parts", "--inputs", "1"}, scratch.path());
  EXPECT_EQ(verify.status, 0) << verify.out;
}

}  // namespace
}  // namespace segue
