#include "segue/plan.h"

#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "environment.h"
#include "expect.h"
#include "model_builder.h"
#include "segue/file.h"
#include "segue/segmentation.h"
#include "segue/zoo.h"

namespace segue {
namespace {

using Json = nlohmann::ordered_json;
using testing::expect_error;

Plan plan_of(const Model& model, std::size_t count) {
  const Graph graph(model);
  const auto compiler = make_simulated_compiler(find_device("edgetpu-usb3"));
  Plan plan = make_plan(graph, segment_balanced(graph, count, *compiler).segmentation, *compiler,
                        find_device("edgetpu-usb3"), Strategy::kBalanced);
  identify_model(plan, model);
  return plan;
}

TEST(Plan, StagesDescribeSegments) {
  const Plan plan = plan_of(testing::conv_chain({8, 8, 8, 8}), 2);
  ASSERT_EQ(plan.stages.size(), 2U);
  EXPECT_EQ(plan.model.operator_count, 4U);
  EXPECT_EQ(plan.stages[0].operators, testing::operators(0, 1));
  EXPECT_EQ(plan.stages[0].first_depth, 1U);
  EXPECT_EQ(plan.stages[0].last_depth, 2U);
  EXPECT_EQ(plan.stages[0].inputs, std::vector<std::string>{"x"});
  EXPECT_EQ(plan.stages[0].outputs, std::vector<std::string>{"conv1"});
  EXPECT_EQ(plan.stages[0].input_bytes, 4U * 4U * 4U);
  EXPECT_EQ(plan.stages[0].output_bytes, 4U * 4U * 8U);
  EXPECT_EQ(plan.stages[0].parameter_bytes, 8U * (4U + 4U) + 8U * (8U + 4U));
  EXPECT_EQ(plan.stages[0].macs, 16U * 8U * 4U + 16U * 8U * 8U);
  EXPECT_EQ(plan.stages[1].operators, testing::operators(2, 3));
  EXPECT_EQ(plan.stages[0].parameter_bytes + plan.stages[1].parameter_bytes,
            plan.model.parameter_bytes);
}

TEST(Plan, SlowestDeviceRoundTrips) {
  DeviceSpec device = find_device("edgetpu-usb3");
  device.timing.clock_hz.value = 1;
  device.timing.link_bytes_per_s.value = 1;
  device.timing.hop_ns.value = 1e12;
  const Model model = open_model("zoo:resnet50");
  const Graph graph(model);
  const std::vector<DevicePool> pools{{device, 8, false}};
  const auto devices = std::vector<PoolCounts>(8, {1});
  const std::string text =
      to_json(make_plan(graph, segment_as_vendor(graph, 8), pools, Strategy::kCompiler, devices));
  EXPECT_EQ(to_json(parse_plan(text, "plan")), text);
}

TEST(Plan, JsonRoundTripIsExact) {
  const Plan plan = plan_of(testing::conv_chain({8, 16, 8, 300}), 3);
  const std::string text = to_json(plan);
  EXPECT_EQ(to_json(parse_plan(text, "plan")), text);
}

std::vector<DevicePool> unequal_devices() {
  return {{find_device("edgetpu-usb3"), 2, true}, {find_device("edgetpu-pcie"), 1, false}};
}

Plan unequal_plan(const Model& model) {
  const Graph graph(model);
  const auto pools = unequal_devices();
  const std::vector<PoolCounts> devices{{1, 1}, {1, 0}};
  Plan plan = make_plan(graph, segment_as_vendor(graph, 2), pools, Strategy::kManual, devices);
  identify_model(plan, model);
  return plan;
}

TEST(Plan, UnequalDevicesRoundTrip) {
  const Model model = testing::conv_chain({8, 16, 8, 300});
  const Plan plan = unequal_plan(model);
  EXPECT_EQ(plan.device_text(), "2xedgetpu-usb3:shared,1xedgetpu-pcie");
  ASSERT_EQ(plan.stages[0].devices.size(), 2U);
  EXPECT_EQ(plan.stages[0].replicas, 2U);
  EXPECT_EQ(plan.stages[0].time.total(), std::max(plan.stages[0].devices[0].time.total(),
                                                  plan.stages[0].devices[1].time.total()));
  EXPECT_EQ(plan.device_count(), 3U);
  const std::string text = to_json(plan);
  const Plan read = parse_plan(text, "plan");
  EXPECT_EQ(to_json(read), text);
  EXPECT_EQ(to_json(evaluate_plan(read, Graph(model), unequal_devices())), text);
}

TEST(Plan, InvalidPoolUseIsRefused) {
  const Model model = testing::conv_chain({8, 16, 8, 300});
  const Graph graph(model);
  Plan plan = unequal_plan(model);
  plan.stages[1].devices[0].replicas = 2;
  plan.stages[1].replicas = 2;
  expect_error(ErrorCode::kInvalidArgument,
               [&] { (void)evaluate_plan(plan, graph, unequal_devices()); },
               {"use 3 devices of 'edgetpu-usb3', but the pool has 2"});
  plan.stages[1].devices[0] = {7, 1, {}};
  expect_error(ErrorCode::kInvalidArgument,
               [&] { (void)evaluate_plan(plan, graph, unequal_devices()); },
               {"stage 1 uses pool 7; the devices consist of 2 pools"});
  plan.stages[1].devices.clear();
  expect_error(ErrorCode::kInvalidArgument,
               [&] { (void)evaluate_plan(plan, graph, unequal_devices()); },
               {"stage 1 has no key", "2 pools"});
}

TEST(Plan, SharedLinkSetsBottleneck) {
  const Model model = open_model("zoo:conv5-f32");
  const Graph graph(model);
  DevicePool pool{find_device("edgetpu-usb2"), 3, true};
  const std::vector<PoolCounts> devices(3, PoolCounts{1});
  const auto segments = segment_as_vendor(graph, 3);
  const Plan shared = make_plan(graph, segments, std::span(&pool, 1), Strategy::kCompiler, devices);
  Nanoseconds link{0};
  for (const Stage& stage : shared.stages) link += stage.time.link();
  pool.shares_link = false;
  const Plan own = make_plan(graph, segments, std::span(&pool, 1), Strategy::kCompiler, devices);
  ASSERT_GT(link, own.predicted.bottleneck);
  EXPECT_EQ(shared.predicted.bottleneck, link);
}

TEST(ParsePlan, VersionOneIsRead) {
  Plan plan = plan_of(testing::conv_chain({8, 8}), 2);
  plan.predicted.range.reset();
  for (Stage& stage : plan.stages) stage.range.reset();
  Json document = Json::parse(to_json(plan));
  document["schema"] = "segue.plan/1";
  for (Json& stage : document["stages"]) {
    stage.erase("host_operators");
    for (const char* key : {"host", "hidden_streaming", "output_on_link"})
      stage["time_ns"].erase(key);
  }
  for (Stage& stage : plan.stages) stage.time.output_on_link = Nanoseconds(0);
  EXPECT_EQ(to_json(parse_plan(document.dump(), "old")), to_json(plan));
}

TEST(Plan, KeysHaveDocumentedOrder) {
  const Json document = Json::parse(to_json(plan_of(testing::conv_chain({8, 8}), 2)));
  const auto keys = [](const Json& object) {
    std::vector<std::string> names;
    for (const auto& [key, unused] : object.items()) names.push_back(key);
    return names;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(keys(document),
            (Names{"schema", "model", "device", "strategy", "objective", "stages", "predicted"}));
  EXPECT_EQ(keys(document["model"]),
            (Names{"name", "sha256", "operator_count", "parameter_bytes", "macs", "depth"}));
  EXPECT_EQ(keys(document["stages"][0]),
            (Names{"index", "operators", "first_depth", "last_depth", "inputs", "outputs",
                   "parameter_bytes", "on_chip_bytes", "host_bytes", "macs", "input_bytes",
                   "output_bytes", "replicas", "host_operators", "time_ns", "time_range_ns"}));
  EXPECT_EQ(keys(document["stages"][0]["time_ns"]),
            (Names{"compute", "input", "output", "streaming", "fixed", "host", "total",
                   "hidden_streaming", "output_on_link"}));
  EXPECT_EQ(keys(document["predicted"]),
            (Names{"bottleneck_ns", "latency_ns", "throughput_per_s", "single_device_ns", "speedup",
                   "bottleneck_range_ns", "latency_range_ns", "throughput_range_per_s"}));
  EXPECT_EQ(document["schema"], "segue.plan/2");
}

struct BadPlan {
  const char* name;
  std::function<void(Json&)> edit;
  const char* message;
};

class PlanReader : public ::testing::TestWithParam<BadPlan> {};

TEST_P(PlanReader, InvalidDocumentNamesItsPath) {
  Json document = Json::parse(to_json(plan_of(testing::conv_chain({8, 8, 8}), 3)));
  GetParam().edit(document);
  expect_error(ErrorCode::kInvalidArgument, [&] { (void)parse_plan(document.dump(), "my.json"); },
               {"my.json", GetParam().message});
}

INSTANTIATE_TEST_SUITE_P(
    All, PlanReader,
    ::testing::Values(
        BadPlan{"OtherSchema", [](Json& j) { j["schema"] = "segue.plan/3"; },
                "schema: is \"segue.plan/3\""},
        BadPlan{"UnknownKey", [](Json& j) { j["colour"] = 1; }, "colour: unknown key"},
        BadPlan{"UnknownStageKey", [](Json& j) { j["stages"][1]["speed"] = 1; },
                "stages[1].speed: unknown key"},
        BadPlan{"MissingKey", [](Json& j) { j["model"].erase("depth"); },
                "model: missing key \"depth\""},
        BadPlan{"NegativeOperator", [](Json& j) { j["stages"][2]["operators"][0] = -1; },
                "stages[2].operators[0]: must be a whole number"},
        BadPlan{"TextForANumber", [](Json& j) { j["stages"][0]["macs"] = "many"; },
                "stages[0].macs: must be a whole number"},
        BadPlan{"NumberForAText", [](Json& j) { j["device"] = 5; }, "device: must be a string"},
        BadPlan{"TotalThatIsNoSum", [](Json& j) { j["stages"][0]["time_ns"]["total"] = 1; },
                "stages[0].time_ns.total: must be the sum"},
        BadPlan{"EndlessTime",
                [](Json& j) { j["predicted"]["latency_ns"] = 100'000'000'000'000'001; },
                "predicted.latency_ns: must be a whole number"},
        BadPlan{"NegativeThroughput", [](Json& j) { j["predicted"]["throughput_per_s"] = -1; },
                "predicted.throughput_per_s: must not be negative"},
        BadPlan{"UnknownStrategy", [](Json& j) { j["strategy"] = "Magic!"; },
                "strategy: must be a key"},
        BadPlan{"UnknownObjective", [](Json& j) { j["objective"] = "fun"; },
                "objective: is \"fun\""},
        BadPlan{"ObjectForAList", [](Json& j) { j["stages"] = Json::object(); },
                "stages: must be a list"},
        BadPlan{"NoStages", [](Json& j) { j["stages"] = Json::array(); }, "at least one stage"},
        BadPlan{"EmptyStage", [](Json& j) { j["stages"][0]["operators"] = Json::array(); },
                "stages[0].operators"},
        BadPlan{"NoReplicas", [](Json& j) { j["stages"][0]["replicas"] = 0; },
                "stages[0].replicas: must be from 1 to 1024, the largest number of devices of"},
        BadPlan{"WrongIndex", [](Json& j) { j["stages"][1]["index"] = 0; },
                "stages[1].index: must be 1"},
        BadPlan{"NameThatEndsEarly", [](Json& j) { j["model"]["name"] = std::string("a\0b", 3); },
                "model.name: must not contain control characters"},
        BadPlan{"NameWithAFolder", [](Json& j) { j["model"]["name"] = "../../etc/x"; },
                "model.name: must be a valid file name"},
        BadPlan{"HugeNumber", [](Json& j) { j["model"]["depth"] = 5'000'000'000; },
                "model.depth: must be a whole number from 0 to 4294967295"}),
    [](const auto& row) { return row.param.name; });

TEST(PlanFile, InvalidJsonIsNamed) {
  const testing::ScratchFolder scratch;
  write_file(scratch.path() / "plan.json", "{ \"schema\": ");
  expect_error(ErrorCode::kInvalidArgument, [&] { (void)read_plan(scratch.path() / "plan.json"); },
               {"plan.json", "not JSON"});
}

TEST(PlanFile, SetOfModelsNamesItsCommands) {
  testing::expect_error(ErrorCode::kInvalidArgument,
                        [] { (void)parse_plan(R"({"schema": "segue.set/1"})", "set.json"); },
                        {"set.json", "several models", "segue run --plan"});
}

TEST(PlanFile, DeepNestingIsRefused) {
  expect_error(ErrorCode::kInvalidArgument,
               [] { (void)parse_plan(std::string(200'000, '['), "deep"); },
               {"more than 64 levels"});
}

TEST(PlanFile, ObjectWithTooManyKeysIsRefused) {
  std::string text = "{";
  for (int i = 0; i < 5000; ++i) text += (i == 0 ? "\"" : ", \"") + std::to_string(i) + "\": 0";
  expect_error(ErrorCode::kInvalidArgument, [&] { (void)parse_plan(text + "}", "wide"); },
               {"wide", "more than 1000 keys in one object"});
}

TEST(CheckPlanMatches, PlanOfAnotherModelIsRefused) {
  const Plan plan = plan_of(testing::conv_chain({8, 8}), 2);
  EXPECT_NO_THROW(check_plan_matches(plan, testing::conv_chain({8, 8})));
  expect_error(ErrorCode::kInvalidArgument,
               [&] {
                 check_plan_matches(plan, testing::conv_chain({8, 16}));
               },
               {"chain", "segue plan"});
}

TEST(CheckPlanMatches, PlanWithoutHashIsComparedBySize) {
  Plan plan = plan_of(testing::conv_chain({8, 8}), 2);
  plan.model.sha256.clear();
  EXPECT_NO_THROW(check_plan_matches(plan, testing::conv_chain({8, 8})));
  expect_error(ErrorCode::kInvalidArgument,
               [&] {
                 check_plan_matches(plan, testing::conv_chain({8, 16}));
               },
               {"with 2 operators", "segue plan"});
}

TEST(PlanFile, DuplicateKeyIsRefusedWithPath) {
  const auto refuses = [](const std::string& once, const std::string& twice,
                          const std::string& path) {
    std::string text = to_json(plan_of(testing::conv_chain({8, 8}), 2));
    text.replace(text.rfind(once), once.size(), twice);
    expect_error(ErrorCode::kInvalidArgument, [&] { (void)parse_plan(text, "my.json"); },
                 {"my.json: " + path + ": duplicate key"});
  };
  refuses("\"device\":", "\"device\": \"a\", \"device\":", "device");
  refuses("\"macs\":", "\"macs\": 0, \"macs\":", "stages[1].macs");
  refuses("\"speedup\":", "\"latency_ns\": 1, \"speedup\":", "predicted.latency_ns");
}

}  // namespace
}  // namespace segue
