// Sets of models as a user meets them: `plan --models`, `compile set.json`, `run --plan`.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "command.h"
#include "environment.h"
#include "segue/file.h"

namespace segue {
namespace {

using testing::expect_failure;
using testing::HasWords;
using testing::kInfeasible;
using testing::kUsage;
using ::testing::Not;
using testing::run_segue;
using testing::ScratchFolder;

const std::string kModels = "zoo:mobilenet@64:20/s:latency=200ms,zoo:squeezenet@64:weight=2";

// A set.json of two models on one TPU, which share its memory.
class CliSet : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto result =
        segue({"plan", "--models", kModels, "--device", "1xedgetpu-pcie", "-o", "set.json"});
    ASSERT_EQ(result.status, 0) << result.err;
    planned_ = result.out;
  }
  [[nodiscard]] testing::CommandResult segue(const std::vector<std::string>& arguments) const {
    return run_segue(arguments, scratch_.path());
  }
  [[nodiscard]] std::string read(const std::string& file) const {
    return read_text_file(scratch_.path() / file, 1 << 24U);
  }

  ScratchFolder scratch_;
  std::string planned_;
};

TEST_F(CliSet, PlanShowsModelsAndTpus) {
  EXPECT_THAT(planned_, HasWords("2 models on 1 of 1 Edge TPU"));
  EXPECT_THAT(planned_, HasWords("compile these models together, in this order"));
  const auto csv = segue({"plan", "--models", kModels, "--tpus", "1", "--csv"});
  EXPECT_THAT(csv.out, HasWords("model,demand_per_s,per_s,slack,latency_ns"));
}

TEST_F(CliSet, WrongOptionsAreRefused) {
  const auto refused = [&](std::vector<std::string> arguments, const std::string& message) {
    expect_failure(segue(arguments), kUsage, message);
  };
  refused({"plan", "--models", "zoo:mobilenet@64:fast/s", "--tpus", "1"}, "rate 'fast'");
  refused({"plan", "--models", "zoo:mobilenet@64,", "--tpus", "1"}, "expected MODEL[:RATE/s]");
  refused({"plan", "--models", "zoo:mobilenet@64"}, "the number of TPUs is missing");
  refused({"plan", "--models", "zoo:mobilenet@64", "--tpus", "1", "--strategy", "balanced"},
          "cannot be combined with --models");
  refused({"plan", "--models", "zoo:mobilenet@64", "--tpus", "auto"}, "give a number");
  refused({"plan", "--models", "zoo:mobilenet@64:3/s:4/s", "--tpus", "1"}, "two rates");
  refused({"plan", "--models", "zoo:mobilenet@64:weight=2:4/s", "--tpus", "1"},
          "a weight is for models without a rate");
  refused({"plan", "--models", "set.json:30", "--tpus", "1"}, "'30' is not a rate");
  refused({"plan", "--models", "zoo:mobilenet@64:3/s:fps", "--tpus", "1"}, "'fps' is not a rate");
  refused({"plan", "--models", "zoo:mobilenet@64:30:4/s", "--tpus", "1"}, "'30' is not a rate");
  std::filesystem::copy(scratch_.path() / "set.json", scratch_.path() / "2xset.json");
  refused({"plan", "--models", "2xset.json:3/s", "--tpus", "1", "-o", "2xset.json"},
          "also the input --models");
  refused({"plan", "--models", "set.json:3/s", "--tpus", "1", "-o", "set.json"},
          "also the input --models");
  refused({"plan", "--models", "zoo:mobilenet@64", "--tpus", "1", "--headroom", "nan"},
          "--headroom nan: give a number");
  refused({"compile", "set.json", "-o", "."}, "its set.json is the input");
  refused({"plan", "--tpus", "1"}, "MODEL is missing");
  refused({"plan", "zoo:mobilenet@64", "--tpus", "1", "--headroom", "20"}, "requires --models");
  refused({"run", "--plan", "set.json", "--model", "zoo:mobilenet@64"},
          "cannot be combined with --plan");
  refused({"run"}, "DIR is missing");
  refused({"compile", "set.json", "--signature", "a"}, "--signature requires a model");
  expect_failure(segue({"plan", "--models", "zoo:resnet50:900/s", "--tpus", "1"}), kInfeasible,
                 "900/s requested");
}

// Outputs of a set equal those of each model alone, on the CPU and in simulated time.
TEST_F(CliSet, RunWritesResultsOfWholeModels) {
  for (const std::string backend : {"cpu", "simulated"}) {
    const auto run = segue({"run", "--plan", "set.json", "--backend", backend, "--time-scale", "0",
                            "--inputs", "12", "-o", backend});
    if (backend == "cpu") {
      EXPECT_EQ(run.status, kUsage) << "--time-scale is for simulated times";
      ASSERT_EQ(segue({"run", "--plan", "set.json", "--inputs", "12", "-o", backend}).status, 0);
    } else {
      ASSERT_EQ(run.status, 0) << run.err;
    }
    for (const std::string model : {"mobilenet@64", "squeezenet@64"}) {
      const std::string alone = model + "-alone";
      ASSERT_EQ(segue({"split", "zoo:" + model, "--tpus", "1", "-o", alone}).status, 0);
      ASSERT_EQ(segue({"run", alone, "--inputs", "12", "-o", alone + "-results"}).status, 0);
      std::size_t files = 0;
      for (const auto& file :
           std::filesystem::directory_iterator(scratch_.path() / backend / model)) {
        ++files;
        EXPECT_EQ(read(backend + "/" + model + "/" + file.path().filename().string()),
                  read(alone + "-results/" + file.path().filename().string()))
            << backend << " " << file.path();
      }
      EXPECT_GE(files, 1U) << model;
    }
  }
}

TEST_F(CliSet, RunReportsModelsAndDevices) {
  const auto json =
      nlohmann::json::parse(segue({"run", "--plan", "set.json", "--backend", "simulated",
                                   "--time-scale", "4", "--inputs", "60", "--json"})
                                .out);
  EXPECT_EQ(json["schema"], "segue.setrun/1");
  ASSERT_EQ(json["models"].size(), 2U);
  std::uint64_t results = 0;
  for (const auto& model : json["models"])
    results += model["run"]["measured"]["results"].get<std::uint64_t>();
  EXPECT_EQ(json["devices"][0]["inferences"], results);
  EXPECT_EQ(json["devices"][0]["models"].size(), 2U);
  EXPECT_GT(json["devices"][0]["changes"], 0);
  const auto text = segue({"run", "--plan", "set.json", "--inputs", "3"});
  EXPECT_THAT(text.out, HasWords("2 models on TensorFlow Lite"));
  EXPECT_THAT(text.out, HasWords("the others are measured"));
}

// At this scale, the next input of a model would come after a second.
TEST_F(CliSet, InterruptReportsResultsSoFar) {
  const std::string command = fmt::format(
      "cd {} && {{ {} run --plan set.json --runtime {} --backend simulated --time-scale 1000 "
      "--inputs 60 --json >run.json 2>/dev/null & }}; sleep 2; kill -TERM $!; wait $!",
      scratch_.path().string(), SEGUE_TEST_CLI, SEGUE_TEST_RUNTIME);
  EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), 130);
  const auto json = nlohmann::json::parse(read("run.json"));
  EXPECT_EQ(json["models"].size(), 2U);
  EXPECT_LT(json["models"][1]["run"]["measured"]["results"], 60);
}

TEST_F(CliSet, CompiledSetRunsOnEdgeTpus) {
  const auto compiled =
      segue({"compile", "set.json", "-o", "out", "--compiler-cmd", SEGUE_TEST_COMPILER});
  ASSERT_EQ(compiled.status, 0) << compiled.err;
  EXPECT_THAT(compiled.out, HasWords("tpu0/"));
  EXPECT_THAT(read("out/set.json"), HasWords("segue.set/1"));
  const std::vector<std::string> command{"run",
                                         "--plan",
                                         "out/set.json",
                                         "--backend",
                                         "edgetpu",
                                         "--edgetpu-library",
                                         SEGUE_TEST_STAND_IN,
                                         "--inputs",
                                         "8",
                                         "-o",
                                         "tpu"};
  const auto run = segue(command);
  ASSERT_EQ(run.status, 0) << run.err;
  ASSERT_EQ(segue({"run", "--plan", "set.json", "--inputs", "8", "-o", "cpu"}).status, 0);
  for (const std::string model : {"mobilenet@64", "squeezenet@64"}) {
    for (const auto& file : std::filesystem::directory_iterator(scratch_.path() / "cpu" / model))
      EXPECT_EQ(read("cpu/" + model + "/" + file.path().filename().string()),
                read("tpu/" + model + "/" + file.path().filename().string()))
          << file.path();
  }
  auto uncompiled = command;
  uncompiled[2] = "set.json";
  EXPECT_THAT(segue(uncompiled).err, HasWords("`segue compile set.json` makes these files"));
}

TEST_F(CliSet, LostEdgeTpuIsReplacedAndReported) {
  ASSERT_EQ(
      segue({"compile", "set.json", "-o", "out", "--compiler-cmd", SEGUE_TEST_COMPILER}).status, 0);
  const auto run = run_segue({"run", "--plan", "out/set.json", "--backend", "edgetpu",
                              "--edgetpu-library", SEGUE_TEST_STAND_IN, "--inputs", "30"},
                             scratch_.path(), "export STAND_IN_VANISHES=0:5");
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.err, HasWords("fallback: borrowed device"));
  EXPECT_THAT(run.out, HasWords("30"));
}

}  // namespace
}  // namespace segue
