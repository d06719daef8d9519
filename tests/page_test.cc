// Tests the data of pages and traces; tests/report_page_test.py tests pages in a browser.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "expect.h"
#include "fake_backend.h"
#include "model_builder.h"
#include "plans.h"
#include "segue/error.h"
#include "segue/report.h"
#include "segue/timeline.h"
#include "segue/zoo.h"

namespace segue {
namespace {

using nlohmann::json;
using testing::balanced_plan;
using ::testing::HasSubstr;
using ::testing::Not;

// Returns the data that a page embeds.
json data_in(const std::string& page) {
  const std::string mark = R"(<script type="application/json" id="data">)";
  const std::size_t begin = page.find(mark) + mark.size();
  return json::parse(page.substr(begin, page.find("</script>", begin) - begin));
}

TEST(Page, DataMatchesPlan) {
  const Model model = open_model("zoo:resnet50");
  const Graph graph(model);
  const ComparedPlan row{4, balanced_plan(graph, 4)};
  const DevicePool pool{find_device("edgetpu-pcie"), 4, false};
  const std::string page = plans_page({graph, {&row, 1}, 0, {&pool, 1}});
  EXPECT_EQ(page, plans_page({graph, {&row, 1}, 0, {&pool, 1}}));
  EXPECT_THAT(page, Not(HasSubstr("@DATA@")));
  const json data = data_in(page);
  const json& plan = data["plans"][0];
  EXPECT_EQ(plan["latency_ns"], row.plan.predicted.latency.count());
  ASSERT_EQ(plan["stages"].size(), 4U);
  for (std::size_t s = 0; s < 4; ++s) {
    EXPECT_EQ(plan["stages"][s]["on_chip_bytes"], row.plan.stages[s].on_chip_bytes);
    std::int64_t sum = 0;
    for (const auto& part : plan["stages"][s]["time_ns"]) sum += part.get<std::int64_t>();
    EXPECT_EQ(sum, row.plan.stages[s].time.total().count());
  }
  EXPECT_EQ(plan["cuts"].size(), 3U);
  EXPECT_EQ(plan["cuts"][0][1], row.plan.stages[0].last_depth);
  EXPECT_EQ(plan["timeline"]["devices"].size(), 4U);
  EXPECT_THAT(plan["verdict"].get<std::string>(), HasSubstr("resnet50 on 4 TPUs, balanced"));
  EXPECT_EQ(data["model"]["levels"]["bytes"].size(), graph.depth());
}

TEST(Page, ScriptTagInNameIsEscaped) {
  const Model model = open_model("zoo:squeezenet@64");
  const Graph graph(model);
  ComparedPlan row{1, balanced_plan(graph, 1)};
  row.plan.model.name = "</script><script>alert(1)</script>\xFF";
  const DevicePool pool{find_device("edgetpu-pcie"), 1, false};
  const std::string page = plans_page({graph, {&row, 1}, 0, {&pool, 1}});
  EXPECT_THAT(page, Not(HasSubstr("<script>alert")));
  EXPECT_THAT(data_in(page)["plans"][0]["verdict"].get<std::string>(), HasSubstr("</script>"));
}

TEST(Page, LongNamesAreShortened) {
  const auto page_of = [](const std::string& name, const std::string& tensor) {
    testing::ModelBuilder b;
    b.output(b.conv(b.conv(b.input("x", {1, 4, 4, 4}), tensor, 4), "last", 4));
    const Model model = b.build(name);
    const Graph graph(model);
    const ComparedPlan row{2, balanced_plan(graph, 2)};
    const DevicePool pool{find_device("edgetpu-pcie"), 2, false};
    return plans_page({graph, {&row, 1}, 0, {&pool, 1}});
  };
  const std::string plain = page_of("model", "first");
  const std::string page = page_of("\xff<script>" + std::string(10'000, 'm'),
                                   "\xc3</script>" + std::string(10'000, 'n'));
  EXPECT_LE(page.size(), plain.size() + 4000);
  EXPECT_NO_THROW((void)data_in(page));
  std::string one_line = page;
  std::ranges::replace(one_line, '\n', ' ');
  EXPECT_EQ(printable(one_line, one_line.size()), one_line) << "must be UTF-8";
}

TEST(Page, MissingPlanIsRefused) {
  const Model model = open_model("zoo:squeezenet@64");
  const Graph graph(model);
  const DevicePool pool{find_device("edgetpu-pcie"), 1, false};
  testing::expect_error(ErrorCode::kInvalidArgument,
                        [&] {
                          (void)plans_page({graph, {}, 0, {&pool, 1}});
                        },
                        {"needs a plan"});
}

// --- traces

// Returns the slices of whole inputs, without the activities inside them.
std::vector<json> slices_in(const json& trace, const std::string& name) {
  std::vector<json> slices;
  for (const json& event : trace["traceEvents"]) {
    if (event["ph"] == "X" && event["name"].get<std::string>().find(name) != std::string::npos)
      slices.push_back(event);
  }
  return slices;
}

std::size_t count_of(const json& trace, const std::string& phase) {
  std::size_t count = 0;
  for (const json& event : trace["traceEvents"]) count += event["ph"] == phase ? 1 : 0;
  return count;
}

TEST(Trace, TimelineTraceHasEveryInputAndArrow) {
  const Model model = open_model("zoo:resnet50");
  const Plan plan = balanced_plan(Graph(model), 3);
  TimelineOptions options;
  options.inputs = 10;
  options.records_events = true;
  const Timeline timeline = simulate_timeline(stage_loads(plan), options);
  const json trace = json::parse(trace_json(plan, timeline));
  const auto slices = slices_in(trace, "input ");
  ASSERT_EQ(slices.size(), 30U);
  std::map<int, double> end_of_track;
  for (const json& slice : slices) {
    double& end = end_of_track[slice["tid"]];
    EXPECT_GE(slice["ts"].get<double>(), end - 1e-6) << "slices of one device follow each other";
    end = slice["ts"].get<double>() + slice["dur"].get<double>();
    EXPECT_LE(end, static_cast<double>(timeline.makespan.count()) / 1000 + 1e-6);
  }
  EXPECT_EQ(end_of_track.size(), 3U);
  EXPECT_EQ(count_of(trace, "s"), 20U);
  EXPECT_EQ(count_of(trace, "f"), 20U);
  std::map<std::string, std::int64_t> waiting;
  for (const json& event : trace["traceEvents"]) {
    if (event["ph"] != "C") continue;
    waiting[event["name"]] = event["args"]["inputs"];
    EXPECT_GE(waiting[event["name"]], 0);
  }
  EXPECT_EQ(waiting.size(), 2U);
  for (const auto& [name, left] : waiting) EXPECT_EQ(left, 0) << name;
}

TEST(Trace, TimelineWithoutEventsIsRefused) {
  const Model model = open_model("zoo:squeezenet@64");
  const Plan plan = balanced_plan(Graph(model), 2);
  testing::expect_error(ErrorCode::kInvalidArgument,
                        [&] { (void)trace_json(plan, simulate_timeline(stage_loads(plan), {})); },
                        {"events"});
}

TEST(Trace, RunTraceKeepsLatestEvents) {
  for (const std::size_t capacity : {1000, 10}) {
    const auto backend = std::make_shared<testing::FakeBackend>(
        testing::chain_of(3), testing::FakeBackend::Before{}, true);
    Pipeline pipeline(testing::layout_of(3, {1, 2, 1}), testing::devices_with(4, backend),
                      {.trace_capacity = capacity});
    testing::expect_all_in_order(pipeline, 50, 3);
    const PipelineTrace kept = pipeline.trace();
    EXPECT_EQ(kept.devices.size(), 4U);
    ASSERT_EQ(kept.events.size(), std::min<std::size_t>(capacity, 150));
    std::map<std::pair<std::uint32_t, std::uint64_t>, int> times;
    for (const PipelineEvent& event : kept.events) {
      EXPECT_LE(event.begin, event.end);
      ++times[{event.stage, event.input}];
    }
    for (const auto& [place, count] : times) EXPECT_EQ(count, 1);
    const json trace = json::parse(trace_json("<b>\xFF\n", kept));
    EXPECT_EQ(slices_in(trace, "stage ").size(), kept.events.size());
  }
}

}  // namespace
}  // namespace segue
