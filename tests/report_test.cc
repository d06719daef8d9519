#include "segue/report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "expect.h"
#include "model_builder.h"
#include "segue/zoo.h"

namespace segue {
namespace {

using testing::ModelBuilder;

TEST(Printable, ControlCharactersAndBrokenUtf8AreReplaced) {
  EXPECT_EQ(printable("plain"), "plain");
  EXPECT_EQ(printable("naïve – 猫"), "naïve – 猫");
  EXPECT_EQ(printable("a\x1b[31mred\n").find('\x1b'), std::string::npos);
  EXPECT_EQ(printable("a\nb").find('\n'), std::string::npos);
  for (const char* broken : {"\xff\xfe", "\xc3", "\xe2\x82", "\xed\xa0\x80", "\xf5\x80\x80\x80"}) {
    EXPECT_NO_THROW((void)nlohmann::json(printable(broken)).dump()) << "must be UTF-8";
  }
}

TEST(Printable, LongTextIsCut) { EXPECT_LE(printable(std::string(10'000, 'x'), 200).size(), 210U); }

TEST(Table, TextAlignsNumbersRightAndNamesLeft) {
  Table table;
  table.columns = {{"name", Table::Align::kLeft}, {"bytes"}};
  table.rows = {{"a", "1"}, {"long name", "1234"}};
  EXPECT_EQ(table.to_text(),
            "  name       bytes\n"
            "  a              1\n"
            "  long name   1234\n");
}

TEST(Table, CsvQuotesWhatNeedsIt) {
  Table table;
  table.columns = {{"name"}, {"n"}};
  table.rows = {{"a,\"b\"\nc", "1"}};
  EXPECT_EQ(table.to_csv(), "name,n\n\"a,\"\"b\"\"\nc\",1\n");
}

Model hostile_names() {
  ModelBuilder b;
  const auto x = b.input("\x1b]0;owned\x07", {1, 4, 4, 4});
  b.output(b.relu(b.conv(x, "<script>\"\xff", 4), std::string(10'000, 'n')));
  return b.build("bad\x1b[2Jname");
}

TEST(Inspect, HostileNamesReachNeitherTerminalNorBreakJson) {
  const Model model = hostile_names();
  const Graph graph(model);
  const std::string text = inspect_text(graph, {}, true);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(text.find('\x07'), std::string::npos);
  EXPECT_EQ(operator_table(graph).to_csv().find('\x1b'), std::string::npos);
  EXPECT_TRUE(nlohmann::json::accept(inspect_json(graph, {})));
}

TEST(Inspect, TextJsonAndCsvAgree) {
  const Model model = testing::conv_chain({8, 16, 8});
  const Graph graph(model);
  const auto json = nlohmann::json::parse(inspect_json(graph, {}));
  EXPECT_EQ(json["schema"], "segue.inspect/1");
  EXPECT_EQ(json["model"]["operator_count"], 3);
  EXPECT_EQ(json["operators"].size(), 3U);
  EXPECT_EQ(operator_table(graph).rows.size(), 3U);
  EXPECT_EQ(json["operators"][1]["parameter_bytes"].get<std::uint64_t>(),
            graph.stats(OperatorId{1}).parameter_bytes);
}

TEST(PlanText, SaysThatBytesAreSimulated) {
  const Model model = testing::conv_chain({8, 8, 8, 8});
  const Graph graph(model);
  const auto compiler = make_simulated_compiler(find_device("edgetpu-usb3"));
  const auto balanced = segment_balanced(graph, 2, *compiler);
  const Plan plan =
      make_plan(graph, balanced.segmentation, *compiler, find_device("edgetpu-usb3"), "balanced");
  EXPECT_THAT(plan_text(plan, nullptr), ::testing::HasSubstr("simulated"));
  EXPECT_EQ(plan_table(plan).rows.size(), 2U);
  EXPECT_EQ(refinement_text(balanced), "");
}

TEST(Inspect, SaysWhatRunsOnTheHost) {
  testing::ModelBuilder b;
  const auto x = b.input("x", {1, 4});
  const auto y = b.tensor("y", {1, 4});
  b.op(tflite::BuiltinOperator::FLOOR, {b.relu(x, "r")}, {y});
  b.output(y);
  const Model model = b.build();
  const auto json = nlohmann::json::parse(inspect_json(Graph(model), {}));
  EXPECT_EQ(json["operators"][0]["runs_on"], "tpu");
  EXPECT_EQ(json["operators"][1]["runs_on"], "host");
}

TEST(SimulateText, NamesTheSlowestStageItsCauseAndWhatToTry) {
  const Model model = open_model("zoo:resnet50");
  const Graph graph(model);
  const DeviceSpec& device = find_device("edgetpu-pcie");
  const auto compiler = make_simulated_compiler(device);
  const Plan plan = make_plan(graph, segment_as_vendor(graph, 2), *compiler, device, "compiler");
  const auto loads = stage_loads(plan);
  const TimelineOptions options = timeline_options(loads, device);
  const std::string text = simulate_text(plan, simulate_timeline(loads, options), options);
  EXPECT_THAT(text, ::testing::HasSubstr("all times simulated"));
  EXPECT_THAT(text, ::testing::HasSubstr("Slowest is stage"));
  EXPECT_THAT(text, ::testing::HasSubstr("streaming parameters from the host; cut elsewhere"));
}

TEST(ArrayFigure, ShowsEveryCycleAndTheProduct) {
  const std::string figure = array_figure();
  EXPECT_THAT(figure, ::testing::HasSubstr("cycle 10"));
  EXPECT_THAT(figure, ::testing::HasSubstr("10 cycles, as the closed form says"));
  EXPECT_THAT(figure, ::testing::HasSubstr("   30   24   18\n   84   69   54\n  138  114   90\n"));
}

TEST(RunReports, TellTheTimeScaleAndHotDevices) {
  RunReport report{"m", "b", {}, std::nullopt, 30.0, {{"pci:apex_0", 84.25}, {"pci:apex_1", 61}}};
  const std::string text = run_text(report);
  EXPECT_THAT(text, ::testing::HasSubstr("30 times as slow"));
  EXPECT_THAT(text,
              ::testing::HasSubstr("pci:apex_0 reached 84.2 degrees C, where it may slow down"));
  EXPECT_THAT(text, ::testing::HasSubstr("pci:apex_1 reached 61.0 degrees C.\n"));
  const auto json = nlohmann::json::parse(run_json(report));
  EXPECT_EQ(json["time_scale"], 30);
  EXPECT_EQ(json["hottest"][0]["celsius"], 84.25);
}

}  // namespace
}  // namespace segue
