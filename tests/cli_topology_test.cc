// `--topology`: planning for several hosts, as a user meets it.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "command.h"
#include "environment.h"
#include "expect.h"
#include "segue/file.h"

namespace segue {
namespace {

using testing::expect_failure;
using testing::HasWords;
using testing::kUsage;
using testing::run_segue;
using testing::ScratchFolder;

class CliTopology : public ::testing::Test {
 protected:
  CliTopology() {
    write_file(hosts(), R"({"schema": "segue.topology/1",
      "nodes": [{"name": "left", "devices": "1xedgetpu-pcie", "cores": 4},
                {"name": "right", "devices": "1xedgetpu-pcie", "cores": 4}],
      "links": [{"between": ["left", "right"], "bytes_per_s": 117e6, "latency_ns": 100000}]})");
  }
  [[nodiscard]] std::string hosts() const { return (scratch_.path() / "hosts.json").string(); }
  [[nodiscard]] std::string plan() const { return (scratch_.path() / "plan.json").string(); }

  ScratchFolder scratch_;
};

TEST_F(CliTopology, PlanSaysNodesAndWhatLinksCarry) {
  const auto text = run_segue({"plan", "zoo:resnet50", "--topology", hosts(), "-o", plan()});
  EXPECT_EQ(text.status, 0) << text.err;
  const auto json = nlohmann::json::parse(read_text_file(plan(), 1 << 20));
  ASSERT_EQ(json["stages"].size(), 2U);
  EXPECT_EQ(json["stages"][1]["devices"][0]["node"], "right");
  EXPECT_THAT(text.out, HasWords("host MiB ms nodes"));
  EXPECT_THAT(text.out, HasWords("from to KB per input busy %"));
  EXPECT_THAT(text.out, HasWords("Proven optimal: no other cuts, nodes and replicas"));
  const auto verdict = run_segue({"verify", "zoo:resnet50", plan()});
  EXPECT_EQ(verdict.status, 0) << verdict.err << verdict.out;
}

TEST_F(CliTopology, SimulatedPaceIsThatOfPlan) {
  EXPECT_EQ(run_segue({"plan", "zoo:resnet50", "--topology", hosts(), "-o", plan()}).status, 0);
  const auto planned = nlohmann::json::parse(read_text_file(plan(), 1 << 20));
  const auto run = run_segue({"simulate", plan(), "--inputs", "1000", "--json"});
  EXPECT_EQ(run.status, 0) << run.err;
  const double each = nlohmann::json::parse(run.out)["time_per_input_ns"];
  const double predicted = planned["predicted"]["bottleneck_ns"];
  EXPECT_NEAR(each / predicted, 1, 0.02);
}

TEST_F(CliTopology, SplitWritesSegmentsOfPlan) {
  const std::string folder = (scratch_.path() / "parts").string();
  const auto split = run_segue({"split", "zoo:squeezenet@64", "--topology", hosts(), "-o", folder});
  EXPECT_EQ(split.status, 0) << split.err;
  EXPECT_EQ(run_segue({"verify", "zoo:squeezenet@64", folder, "--inputs", "1"}).status, 0);
}

TEST_F(CliTopology, OptionsOfOneHostAreRefused) {
  const auto with = [&](std::vector<std::string> options) {
    options.insert(options.begin(), {"plan", "zoo:squeezenet", "--topology", hosts()});
    return run_segue(options);
  };
  expect_failure(with({"--tpus", "2"}), kUsage, "--topology has its own devices");
  expect_failure(with({"--device", "edgetpu-usb3"}), kUsage, "--topology has its own devices");
  expect_failure(with({"--measure", "cpu"}), kUsage, "--measure applies to this host");
  expect_failure(with({"--strategy", "balanced"}), kUsage, "requires strategy optimal");
  write_file(hosts(), R"({"schema": "segue.topology/1", "nodes": [], "links": []})");
  expect_failure(with({}), kUsage, "hosts.json: the document: 0 nodes");
}

}  // namespace
}  // namespace segue
