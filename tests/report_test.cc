#include "segue/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "evaluation/array/array.h"
#include "expect.h"
#include "model_builder.h"
#include "plans.h"
#include "segue/file.h"
#include "segue/planner.h"
#include "segue/zoo.h"

namespace segue {
namespace {

using ::testing::HasSubstr;
using testing::ModelBuilder;
using ::testing::Not;

TEST(Printable, ControlAndInvalidUtf8AreReplaced) {
  EXPECT_EQ(printable("plain"), "plain");
  EXPECT_EQ(printable("naïve – 猫"), "naïve – 猫");
  EXPECT_EQ(printable("a\x1b[31mred\n").find('\x1b'), std::string::npos);
  EXPECT_EQ(printable("a\nb\r\tc"), "a\\nb\\r\\tc");
  for (const char* broken : {"\xff\xfe", "\xc3", "\xe2\x82", "\xed\xa0\x80", "\xf5\x80\x80\x80"}) {
    EXPECT_NO_THROW((void)nlohmann::json(printable(broken)).dump()) << "must be UTF-8";
  }
}

TEST(Printable, LongTextIsTruncated) {
  EXPECT_LE(printable(std::string(10'000, 'x'), 200).size(), 210U);
}

TEST(Table, TextAlignsNumbersRight) {
  Table table;
  table.columns = {{"name", Table::Align::kLeft}, {"bytes"}};
  table.rows = {{"a", "1"}, {"long name", "1234"}};
  EXPECT_EQ(table.to_text(),
            "  name       bytes\n"
            "  a              1\n"
            "  long name   1234\n");
}

// Returns the width of the widest line in characters.
std::size_t widest_line(const std::string& text) {
  std::size_t widest = 0;
  std::size_t width = 0;
  for (const char c : text) {
    if (c == '\n') width = 0;
    if (c != '\n' && (static_cast<unsigned char>(c) & 0xC0U) != 0x80U) ++width;
    widest = std::max(widest, width);
  }
  return widest;
}

// Makes a table like those of the commands: names, many numbers, and a text.
Table wide_table() {
  Table table;
  table.columns = {
      {"name", Table::Align::kLeft}, {"first_number"}, {"reason", Table::Align::kLeft}};
  for (std::uint32_t i = 1; i <= 9; ++i)
    table.columns.push_back(
        {"spare_" + std::to_string(i), Table::Align::kRight, Table::Unit::kNone, "", i});
  const std::vector<std::string> spare(9, "123456");
  table.rows = {{"model/block_1/conv", "1", "not supported on the device"},
                {std::string(300, 'x') + "é", "22", "none"}};
  for (auto& row : table.rows) row.insert(row.end(), spare.begin(), spare.end());
  return table;
}

TEST(Table, TextFitsEveryWidth) {
  for (std::size_t width = 44; width < 200; ++width)
    EXPECT_LE(widest_line(wide_table().to_text(width)), width) << wide_table().to_text(width);
}

TEST(Table, NarrowTextDropsSpareColumnsAndNamesThem) {
  const std::string text = wide_table().to_text(60);
  EXPECT_THAT(text, HasSubstr("not supported on"));
  EXPECT_THAT(text, HasSubstr("spare_  spare_\n"));
  EXPECT_THAT(text, HasSubstr("(not shown at this width: spare_3, "));
  EXPECT_THAT(text, HasSubstr("spare_9)"));
  EXPECT_EQ(wide_table().columns_shown(60).back(), false);
  EXPECT_EQ(wide_table().columns_shown(60)[3], true);
  EXPECT_THAT(wide_table().to_text(1000), Not(HasSubstr("not shown")));
}

TEST(Table, NarrowTextKeepsWordsOfNames) {
  const std::string text = wide_table().to_text(60);
  EXPECT_THAT(text, HasSubstr("model/block_1/"));
  EXPECT_THAT(text, HasSubstr("xxx…xxx"));
  EXPECT_THAT(text, HasSubstr("xé "));
}

TEST(Table, TextHasLargerUnitsThanCsv) {
  Table table;
  const auto right = Table::Align::kRight;
  table.columns = {{"host_bytes", right, Table::Unit::kBytes, "host MiB"},
                   {"total_ns", right, Table::Unit::kTime, "total ms"},
                   {"utilisation", right, Table::Unit::kShare, "busy %"}};
  table.rows = {{"1572864", "41340000", "0.4249"}, {"-", "-", "-"}};
  EXPECT_EQ(table.to_text(),
            "  host MiB  total ms  busy %\n"
            "      1.50     41.34      42\n"
            "         -         -       -\n");
  EXPECT_EQ(table.to_csv(), "host_bytes,total_ns,utilisation\n1572864,41340000,0.4249\n-,-,-\n");
}

// tests/formats_test.py has no files of Google's compiler.
TEST(Formats, ColumnsOfCompiledFilesAreDocumented) {
  const std::string path = std::string(SEGUE_TEST_SOURCE) + "/docs/formats.md";
  std::string row = "| `inspect COMPILED` |";
  for (const Table::Column& column : executable_table({}).columns)
    row += (row.ends_with('|') ? " `" : ", `") + column.title + "`";
  EXPECT_THAT(read_text_file(path, 1 << 20), HasSubstr(row + " |\n"));
}

TEST(Wrapped, LinesAreBrokenAtSpaces) {
  EXPECT_EQ(wrapped("one two three\n\nfour", 8), "one two\nthree\n\nfour");
  EXPECT_EQ(wrapped("  one two three\n", 9), "  one two\n  three\n");
  EXPECT_EQ(wrapped("averylongword b", 8), "averylongword\nb");
  EXPECT_EQ(wrapped("éé éé éé", 5), "éé éé\néé");
}

TEST(Wrapped, RestIsIndentedLikeTheTextAfterAGap) {
  EXPECT_EQ(wrapped("key    the text of it", 16), "key    the text\n       of it");
}

TEST(Wrapped, CodeIsNotBroken) {
  EXPECT_EQ(wrapped("now use `segue x` and more", 16), "now use\n`segue x` and\nmore");
}

TEST(Table, CsvQuotesSpecialCharacters) {
  Table table;
  table.columns = {{"name"}, {"n"}};
  table.rows = {{"a,\"b\"\nc", "1"}};
  EXPECT_EQ(table.to_csv(), "name,n\n\"a,\"\"b\"\"\nc\",1\n");
}

TEST(Table, CsvEscapesFormulas) {
  Table table;
  table.columns = {{"name", Table::Align::kLeft}, {"difference"}};
  table.rows = {{"=HYPERLINK(1)", "-1.5"}, {"-", "+2"}, {"@sum", "3"}};
  EXPECT_EQ(table.to_csv(), "name,difference\n'=HYPERLINK(1),-1.5\n-,+2\n'@sum,3\n");
}

TEST(Table, MarkdownEscapesPipes) {
  Table table;
  table.columns = {{"name", Table::Align::kLeft}, {"n"}};
  table.rows = {{"a|b", "1"}};
  EXPECT_EQ(table.to_markdown(), "| name | n |\n|---|--:|\n| a\\|b | 1 |\n");
}

// Makes a chain whose names would harm a terminal, a page, a spreadsheet or a reader.
Model hostile_names() {
  ModelBuilder b;
  auto x = b.input("\x1b]0;owned\x07", {1, 4, 4, 4});
  for (const std::string& name :
       {std::string("<script>alert(1)</script>"), std::string("\xff\xfe\"',|\n"),
        std::string(10'000, 'n'), std::string("=HYPERLINK(\"http://a\")"),
        std::string("\xed\xa0\x80\0x", 5)})
    x = b.relu(b.conv(x, name, 4), name + "/relu");
  b.output(x);
  return b.build("bad\x1b[2J</title><img src=x onerror=alert(1)>" + std::string(10'000, 'm'));
}

void expect_harmless_text(const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    EXPECT_LE(line.size(), 1000U);
    EXPECT_EQ(line, printable(line, line.size()));
  }
}

TEST(HostileNames, ReportsEscapeNames) {
  const Model model = hostile_names();
  const Graph graph(model);
  const DeviceSpec& device = find_device("edgetpu-pcie");
  const auto compiler = make_simulated_compiler(device);
  Plan plan = make_plan(graph, segment_as_vendor(graph, 3), *compiler, device, Strategy::kCompiler);
  identify_model(plan, model);
  const auto loads = stage_loads(plan);
  const TimelineOptions options = timeline_options(loads, device);
  const Timeline timeline = simulate_timeline(loads, options);
  const ComparedPlan row{3, plan};
  const RunReport run{model.name(), "backend\x1b[2J", {}, plan};
  for (const std::string& text :
       {inspect_text(graph, {}, true), plan_text(plan, {{plan}}),
        plan_operator_table(plan, graph, device).to_text(), simulate_text(plan, timeline, options),
        compare_text(model.name(), {&row, 1}), run_text(run)})
    expect_harmless_text(text);
  for (const std::string& csv :
       {operator_table(graph).to_csv(), plan_table(plan).to_csv(),
        plan_operator_table(plan, graph, device).to_csv(), split_table(plan).to_csv()}) {
    expect_harmless_text(csv);
    EXPECT_THAT(csv, Not(HasSubstr(",=")));
    EXPECT_THAT(csv, Not(HasSubstr("\"=")));
  }
  for (const std::string& json :
       {inspect_json(graph, {}), to_json(plan), simulate_json(plan, timeline, options),
        compare_json(model.name(), {&row, 1}), split_json(plan, "\xff", 1), run_json(run)})
    EXPECT_TRUE(nlohmann::json::accept(json)) << json.substr(0, 200);
}

TEST(Inspect, TextJsonAndCsvAgree) {
  const Model model = testing::conv_chain({8, 16, 8});
  const Graph graph(model);
  const auto json = nlohmann::json::parse(inspect_json(graph, {}));
  EXPECT_EQ(json["schema"], "segue.inspect/2");
  EXPECT_EQ(json["model"]["operator_count"], 3);
  EXPECT_EQ(json["operators"].size(), 3U);
  EXPECT_EQ(operator_table(graph).rows.size(), 3U);
  EXPECT_EQ(json["operators"][1]["parameter_bytes"].get<std::uint64_t>(),
            graph.stats(OperatorId{1}).parameter_bytes);
}

TEST(PlanText, TextSaysMemoryIsSimulated) {
  const Model model = testing::conv_chain({8, 8, 8, 8});
  const Graph graph(model);
  const auto compiler = make_simulated_compiler(find_device("edgetpu-usb3"));
  const auto balanced = segment_balanced(graph, 2, *compiler);
  const Plan plan = make_plan(graph, balanced.segmentation, *compiler, find_device("edgetpu-usb3"),
                              Strategy::kBalanced);
  EXPECT_THAT(plan_text(plan, {}), ::testing::HasSubstr("simulated"));
  EXPECT_EQ(plan_table(plan).rows.size(), 2U);
  PlanRequest request{.pools = open_devices("edgetpu-pcie", 2)};
  request.strategy = find_strategy("balanced");
  EXPECT_EQ(plan_notes(plan_model(graph, request), request, graph), "");
}

TEST(Inspect, JsonNamesHostOperators) {
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

TEST(SimulateText, TextExplainsSlowestStage) {
  const Model model = open_model("zoo:resnet50");
  const Graph graph(model);
  const DeviceSpec& device = find_device("edgetpu-pcie");
  const auto compiler = make_simulated_compiler(device);
  const Plan plan =
      make_plan(graph, segment_as_vendor(graph, 2), *compiler, device, Strategy::kCompiler);
  const auto loads = stage_loads(plan);
  const TimelineOptions options = timeline_options(loads, device);
  const std::string text = simulate_text(plan, simulate_timeline(loads, options), options);
  EXPECT_THAT(text, ::testing::HasSubstr("all times simulated"));
  EXPECT_THAT(text, ::testing::HasSubstr("is the slowest: "));
  EXPECT_THAT(text, ::testing::HasSubstr("streaming parameters from the host; move the cuts"));
}

TEST(PlanText, SharedLinkIsNamedAsBottleneck) {
  const Model model = open_model("zoo:conv5-f32");
  const Graph graph(model);
  const auto text_of = [&](const char* devices, Strategy strategy) {
    return plan_text(plan_by_strategy(graph, open_devices(devices, 4), strategy).plan, {});
  };
  EXPECT_THAT(text_of("4xedgetpu-usb2:shared", Strategy::kCompiler),
              HasSubstr("The shared link is the bottleneck: it is busy for "));
  const std::string best = text_of("4xedgetpu-usb2:shared", Strategy::kOptimal);
  EXPECT_THAT(best, HasSubstr("The shared link is the bottleneck: "));
  EXPECT_THAT(best, Not(HasSubstr("--strategy optimal")));
}

TEST(PlanText, OneTpuGetsNoCutAdvice) {
  const Model model = open_model("zoo:resnet50");
  const Graph graph(model);
  EXPECT_THAT(plan_text(testing::balanced_plan(graph, 1), {}), Not(HasSubstr("move the cuts")));
}

TEST(ArrayFigure, FigureShowsCyclesAndProduct) {
  const std::string figure = array_figure();
  EXPECT_THAT(figure, ::testing::HasSubstr("cycle 10"));
  EXPECT_THAT(figure, ::testing::HasSubstr("10 cycles, equal to the closed form"));
  EXPECT_THAT(figure, ::testing::HasSubstr("   30   24   18\n   84   69   54\n  138  114   90\n"));
}

TEST(RunReports, TextCsvAndJsonAgree) {
  const Model model = open_model("zoo:squeezenet@64");
  const Graph graph(model);
  RunReport report{model.name(), "b", {}, testing::balanced_plan(graph, 2)};
  PipelineStatistics& measured = report.measured;
  measured.results = 7;
  measured.elapsed = std::chrono::milliseconds(140);
  measured.throughput_per_s = 50;
  measured.latency.p50 = std::chrono::milliseconds(21);
  measured.latency.p99 = std::chrono::milliseconds(34);
  for (const int ms : {12, 20}) {
    PipelineStageStatistics stage;
    stage.mean_time = std::chrono::milliseconds(ms);
    stage.largest_queue = 3;
    stage.devices.resize(1);
    stage.devices[0].inputs = 7;
    measured.stages.push_back(stage);
  }
  const std::string text = run_text(report);
  EXPECT_THAT(text, HasSubstr(run_table(report).to_text()));
  EXPECT_THAT(text, HasSubstr("7 results in 140.00 ms: 50.0/s; latency 21.00 ms (p50), 34.00 ms "));
  EXPECT_THAT(text, HasSubstr("Stage 1 is the slowest: 20.00 ms per input (measured)"));
  EXPECT_THAT(text, HasSubstr("On simulated Edge TPUs: "));
  const auto json = nlohmann::json::parse(run_json(report));
  EXPECT_EQ(json["measured"]["throughput_per_s"], 50);
  EXPECT_EQ(json["measured"]["latency_ns"]["p99"], 34'000'000);
  const Table table = run_table(report);
  for (std::size_t i = 0; i < 2; ++i) {
    const auto& stage = json["stages"][i];
    const Stage& planned = report.predicted->stages[i];
    EXPECT_EQ(stage["measured_ns"], measured.stages[i].mean_time.count());
    EXPECT_EQ(stage["simulated_ns"], planned.time.total().count());
    EXPECT_EQ(stage["on_chip_bytes"], planned.on_chip_bytes);
    EXPECT_EQ(table.rows[i][2], std::to_string(planned.on_chip_bytes));
    EXPECT_EQ(table.rows[i][5], std::to_string(measured.stages[i].mean_time.count()));
    EXPECT_EQ(table.rows[i][6], std::to_string(planned.time.total().count()));
  }
}

TEST(RunReports, TimeScaleAndHotDevicesAreShown) {
  RunReport report{"m", "b", {}, std::nullopt, 30.0, {{"pci:apex_0", 86.25}, {"pci:apex_1", 61}}};
  const std::string text = run_text(report);
  EXPECT_THAT(text, ::testing::HasSubstr("multiplied by 30"));
  EXPECT_THAT(
      text, ::testing::HasSubstr(
                "pci:apex_0 reached 86.2 degrees C: the device lowers its clock at 85, 90 and 95"));
  EXPECT_THAT(text, ::testing::HasSubstr("pci:apex_1 reached 61.0 degrees C.\n"));
  const auto json = nlohmann::json::parse(run_json(report));
  EXPECT_EQ(json["time_scale"], 30);
  EXPECT_EQ(json["hottest"][0]["celsius"], 86.25);
}

}  // namespace
}  // namespace segue
