#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/internal/json/node.h"
#include "plan/internal/time_json.h"
#include "plan/network_json.h"
#include "segue/file.h"
#include "segue/plan.h"

namespace segue {
namespace {

using json::Json;
using json::Node;
using json::rounded;

constexpr std::string_view kSchema = "segue.plan/2";
// The version without `host` in times and without `host_operators`. Both are read as 0.
constexpr std::string_view kSchemaOf01 = "segue.plan/1";
constexpr std::size_t kLargestFileBytes = std::size_t{64} << 20U;

Json positions_json(std::span<const OperatorId> operators) {
  Json result = Json::array();
  for (const OperatorId id : operators) result.push_back(index(id));
  return result;
}

Json to_json(const CompiledStage& compiled) {
  Json result{{"compiler", compiled.compiler},
              {"simulated_on_chip_bytes", compiled.simulated_on_chip_bytes},
              {"simulated_host_bytes", compiled.simulated_host_bytes}};
  if (compiled.host_operators)
    result["operators_on_host"] = positions_json(*compiled.host_operators);
  return result;
}

// `nodes`: of the pools; empty without a network.
Json to_json(const Stage& stage, std::size_t position, std::span<const std::string> nodes) {
  Json result{{"index", position},
              {"operators", positions_json(stage.operators)},
              {"first_depth", stage.first_depth},
              {"last_depth", stage.last_depth},
              {"inputs", stage.inputs},
              {"outputs", stage.outputs},
              {"parameter_bytes", stage.parameter_bytes},
              {"on_chip_bytes", stage.on_chip_bytes},
              {"host_bytes", stage.host_bytes},
              {"macs", stage.macs},
              {"input_bytes", stage.input_bytes},
              {"output_bytes", stage.output_bytes},
              {"replicas", stage.replicas},
              {"host_operators", stage.time.host_operators},
              {"time_ns", time_json(stage.time)}};
  if (stage.range) result["time_range_ns"] = range_json(*stage.range);
  if (stage.compiled) result["compiled"] = to_json(*stage.compiled);
  if (stage.devices.empty()) return result;
  Json devices = Json::array();
  for (const StageDevices& of_pool : stage.devices) {
    devices.push_back({{"pool", of_pool.pool},
                       {"replicas", of_pool.replicas},
                       {"time_ns", time_json(of_pool.time)}});
    if (of_pool.range) devices.back()["time_range_ns"] = range_json(*of_pool.range);
    if (of_pool.pool < nodes.size()) devices.back()["node"] = nodes[of_pool.pool];
  }
  result["devices"] = std::move(devices);
  return result;
}

PlanModel parse_model_part(const Node& node) {
  node.expect_keys({"name", "sha256", "operator_count", "parameter_bytes", "macs", "depth"});
  const std::string name = node["name"].text();
  if (name.empty() || name.find('/') != std::string::npos)
    node["name"].fail(
        "must be a valid file name without extension; segment files are named after it");
  if (std::ranges::any_of(name, [](unsigned char c) { return c < ' ' || c == 0x7F; }))
    node["name"].fail("must not contain control characters; rename the model and make a new plan");
  return {name,
          node["sha256"].text(),
          node["operator_count"].number(),
          node["parameter_bytes"].number(),
          node["macs"].number(),
          node["depth"].small_number()};
}

constexpr std::uint64_t kLongestOfPlanNs = 1000 * kLongestOfStageNs;

Nanoseconds duration(const Node& node, std::uint64_t longest_ns = kLongestOfPlanNs) {
  return Nanoseconds(static_cast<std::int64_t>(node.number(longest_ns)));
}

double not_negative(const Node& node) {
  if (!(node.real() >= 0)) node.fail("must not be negative");
  return node.real();
}

// Version 1 of plan.json contains neither times on the host nor the use of the link.
using Keys = std::vector<std::string_view>;

SegmentTime parse_time(const Node& node, bool has_host) {
  node.expect_keys(has_host ? Keys{"compute", "input", "output", "streaming", "fixed", "host",
                                   "total", "hidden_streaming", "output_on_link"}
                            : Keys{"compute", "input", "output", "streaming", "fixed", "total"});
  const auto part = [&](const char* key) { return duration(node[key], kLongestOfStageNs); };
  SegmentTime time{.fixed = part("fixed"),
                   .input = part("input"),
                   .compute = part("compute"),
                   .streaming = part("streaming"),
                   .output = part("output"),
                   .host = has_host ? part("host") : Nanoseconds(0)};
  if (part("total") != time.total())
    node["total"].fail(
        fmt::format("must be the sum of the values before it, {}", time.total().count()));
  if (!has_host) return time;
  time.hidden_streaming = part("hidden_streaming");
  time.output_on_link = part("output_on_link");
  if (time.hidden_streaming > time.compute)
    node["hidden_streaming"].fail(fmt::format("must not exceed compute, {}", time.compute.count()));
  if (time.output_on_link > time.output)
    node["output_on_link"].fail(fmt::format("must not exceed output, {}", time.output.count()));
  return time;
}

std::optional<TimeRange> parse_range(const Node& node, const char* key, Nanoseconds within,
                                     std::uint64_t longest_ns) {
  if (!node.has(key)) return std::nullopt;
  return read_range(node[key], within, longest_ns);
}

constexpr std::uint64_t kLongestRangeOfPlanNs = 40 * kLongestOfPlanNs;
static_assert(kLongestRangeOfPlanNs < std::uint64_t{1} << 62);

// Returns the largest number of devices of these pools; a single pool has no count.
std::uint32_t most_devices(std::span<const PoolName> pools) {
  std::uint32_t most = 0;
  for (const PoolName& pool : pools) most += pool.count == 0 ? kMostDevices : pool.count;
  return most;
}

std::uint32_t parse_replicas(const Node& node, std::span<const PoolName> pools) {
  const std::uint32_t replicas = node.small_number();
  const std::uint32_t most = most_devices(pools);
  if (replicas == 0 || replicas > most)
    node.fail(fmt::format("must be from 1 to {}, the largest number of devices of '{}'", most,
                          to_string(pools)));
  return replicas;
}

void check_device_count(const Node& node, const Plan& plan) {
  const std::uint32_t most = most_devices(plan.devices);
  std::uint64_t used = 0;
  for (const Stage& stage : plan.stages) used += stage.replicas;
  if (used > most)
    node.fail(fmt::format("have {} replicas in total, but '{}' has at most {} devices", used,
                          plan.device_text(), most));
}

// The replicas of a stage must be the sum over its pools, and its time that of the slowest pool.
std::vector<StageDevices> parse_devices(const Node& node, const Stage& stage,
                                        std::span<const PoolName> pools, bool has_host,
                                        std::span<const std::string> nodes) {
  std::vector<StageDevices> result;
  std::uint32_t replicas = 0;
  Nanoseconds slowest{0};
  for (const Node& element : node.elements()) {
    element.expect_keys({"pool", "replicas", "time_ns"},
                        nodes.empty() ? Keys{"time_range_ns"} : Keys{"time_range_ns", "node"});
    result.push_back({element["pool"].small_number(), parse_replicas(element["replicas"], pools),
                      parse_time(element["time_ns"], has_host)});
    if (element.has("node")) check_node(element, result.back().pool, nodes);
    StageDevices& devices = result.back();
    devices.range =
        parse_range(element, "time_range_ns", devices.time.total(), kLongestRangeOfStageNs);
    if (result.size() > 1 && result.back().pool <= result[result.size() - 2].pool)
      element["pool"].fail("must be larger than in the previous entry");
    replicas += result.back().replicas;
    slowest = std::max(slowest, result.back().time.total());
  }
  if (replicas != stage.replicas)
    node.fail(
        fmt::format("have {} replicas in total, but the stage has {}", replicas, stage.replicas));
  if (slowest != stage.time.total())
    node.fail("the time of the slowest device must equal the time of the stage");
  return result;
}

CompiledStage parse_compiled(const Node& node) {
  node.expect_keys({"compiler", "simulated_on_chip_bytes", "simulated_host_bytes"},
                   {"operators_on_host"});
  CompiledStage result{node["compiler"].text(), node["simulated_on_chip_bytes"].number(),
                       node["simulated_host_bytes"].number()};
  if (!node.has("operators_on_host")) return result;
  result.host_operators.emplace();
  for (const Node& element : node["operators_on_host"].elements()) {
    const OperatorId id{element.small_number()};
    if (!result.host_operators->empty() && id <= result.host_operators->back())
      element.fail("must be larger than the previous element");
    result.host_operators->push_back(id);
  }
  return result;
}

Stage parse_stage(const Node& node, std::size_t position, std::span<const PoolName> pools,
                  bool has_host, std::span<const std::string> nodes) {
  node.expect_keys(
      {"index", "operators", "first_depth", "last_depth", "inputs", "outputs", "parameter_bytes",
       "on_chip_bytes", "host_bytes", "macs", "input_bytes", "output_bytes", "replicas", "time_ns"},
      has_host ? Keys{"devices", "compiled", "host_operators", "time_range_ns"}
               : Keys{"devices", "compiled"});
  if (node["index"].number() != position) node["index"].fail(fmt::format("must be {}", position));
  Stage stage;
  for (const Node& element : node["operators"].elements())
    stage.operators.push_back(OperatorId{element.small_number()});
  if (stage.operators.empty()) node["operators"].fail("a stage needs at least one operator");
  stage.first_depth = node["first_depth"].small_number();
  stage.last_depth = node["last_depth"].small_number();
  stage.inputs = node["inputs"].texts();
  stage.outputs = node["outputs"].texts();
  stage.parameter_bytes = node["parameter_bytes"].number();
  stage.on_chip_bytes = node["on_chip_bytes"].number();
  stage.host_bytes = node["host_bytes"].number();
  stage.macs = node["macs"].number();
  stage.input_bytes = node["input_bytes"].number();
  stage.output_bytes = node["output_bytes"].number();
  stage.replicas = parse_replicas(node["replicas"], pools);
  stage.time = parse_time(node["time_ns"], has_host);
  stage.range = parse_range(node, "time_range_ns", stage.time.total(), kLongestRangeOfStageNs);
  if (has_host) {
    stage.time.host_operators = node["host_operators"].small_number();
    if (stage.time.host_operators > stage.operators.size())
      node["host_operators"].fail(
          fmt::format("must not exceed the {} operators of the stage", stage.operators.size()));
  }
  if (node.has("devices"))
    stage.devices = parse_devices(node["devices"], stage, pools, has_host, nodes);
  if (node.has("compiled")) stage.compiled = parse_compiled(node["compiled"]);
  return stage;
}

Prediction parse_prediction(const Node& node) {
  node.expect_keys(
      {"bottleneck_ns", "latency_ns", "throughput_per_s", "single_device_ns", "speedup"},
      {"bottleneck_range_ns", "latency_range_ns", "throughput_range_per_s"});
  Prediction result{duration(node["bottleneck_ns"]), duration(node["latency_ns"]),
                    not_negative(node["throughput_per_s"]), duration(node["single_device_ns"]),
                    not_negative(node["speedup"])};
  const auto bottleneck =
      parse_range(node, "bottleneck_range_ns", result.bottleneck, kLongestRangeOfPlanNs);
  const auto latency = parse_range(node, "latency_range_ns", result.latency, kLongestRangeOfPlanNs);
  if (bottleneck.has_value() != latency.has_value() ||
      bottleneck.has_value() != node.has("throughput_range_per_s"))
    node.fail("must have all ranges (bottleneck, latency, throughput) or none");
  if (!bottleneck) return result;
  result.range = PredictionRange{*bottleneck, *latency};
  expect_rates(node["throughput_range_per_s"], result.range->throughput_per_s());
  return result;
}

Json prediction_json(const Prediction& predicted) {
  Json result{{"bottleneck_ns", predicted.bottleneck.count()},
              {"latency_ns", predicted.latency.count()},
              {"throughput_per_s", rounded(predicted.throughput_per_s)},
              {"single_device_ns", predicted.single_device.count()},
              {"speedup", rounded(predicted.speedup)}};
  if (predicted.range) result.update(range_keys_json(*predicted.range));
  return result;
}

Bound parse_bound(const Node& node) {
  node.expect_keys({"bottleneck_ns", "proven", "tpus", "max_replicas"}, {"max_latency_ns"});
  Bound bound{duration(node["bottleneck_ns"]), node["proven"].truth(), node["tpus"].small_number(),
              node["max_replicas"].small_number()};
  constexpr std::uint32_t kMost = 8 * kMostDevices;  // of 8 kinds
  if (bound.devices == 0 || bound.devices > kMost)
    node["tpus"].fail(fmt::format("must be from 1 to {}", kMost));
  if (bound.max_replicas > kMost)
    node["max_replicas"].fail(fmt::format("must be at most {}", kMost));
  if (node.has("max_latency_ns")) bound.max_latency = duration(node["max_latency_ns"]);
  return bound;
}

std::map<std::uint32_t, Nanoseconds> parse_measured_host(const Node& node,
                                                         std::uint64_t operator_count) {
  std::map<std::uint32_t, Nanoseconds> result;
  for (const Node& element : node.elements()) {
    element.expect_keys({"operator", "ns"});
    const std::uint32_t position = element["operator"].small_number();
    if (position >= operator_count)
      element["operator"].fail(fmt::format("the model has {} operators", operator_count));
    if (!result.emplace(position, duration(element["ns"], kLongestOfStageNs)).second)
      element["operator"].fail("is listed twice");
  }
  return result;
}

Json measured_host_json(const Plan& plan) {
  Json result = Json::array();
  for (const auto& [position, time] : plan.measured_host)
    result.push_back({{"operator", position}, {"ns", time.count()}});
  return result;
}

bool is_strategy_key(std::string_view key) {
  constexpr std::size_t kMostCharacters = 64;
  return !key.empty() && key.size() <= kMostCharacters &&
         key.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos;
}

// Sets the strategy by its key. An unknown key is that of a custom strategy.
void parse_strategy_key(const Node& node, Plan& plan) {
  const std::string key = node.text();
  const auto* const known = std::ranges::find(kStrategyNames, key, &StrategyName::key);
  if (known != kStrategyNames.end()) {
    plan.strategy = known->strategy;
    return;
  }
  if (!is_strategy_key(key))
    node.fail("must be a key of at most 64 lower-case letters, digits and hyphens");
  plan.strategy = Strategy::kCustom;
  plan.custom_strategy = key;
}

}  // namespace

std::string to_json(const Plan& plan) {
  Json stages = Json::array();
  const std::vector<std::string> nodes = node_names(plan);
  for (std::size_t i = 0; i < plan.stages.size(); ++i)
    stages.push_back(to_json(plan.stages[i], i, nodes));
  Json document{{"schema", kSchema},
                {"model",
                 {{"name", plan.model.name},
                  {"sha256", plan.model.sha256},
                  {"operator_count", plan.model.operator_count},
                  {"parameter_bytes", plan.model.parameter_bytes},
                  {"macs", plan.model.macs},
                  {"depth", plan.model.depth}}},
                {"device", plan.device_text()},
                {"strategy", plan.strategy_key()},
                {"objective", to_string(plan.objective)},
                {"stages", std::move(stages)},
                {"predicted", prediction_json(plan.predicted)}};
  if (plan.bound) {
    document["bound"] = {{"bottleneck_ns", plan.bound->value.count()},
                         {"proven", plan.bound->is_proven},
                         {"tpus", plan.bound->devices},
                         {"max_replicas", plan.bound->max_replicas}};
    if (plan.bound->max_latency)
      document["bound"]["max_latency_ns"] = plan.bound->max_latency->count();
  }
  if (!plan.measured_host.empty()) document["measured_host"] = measured_host_json(plan);
  if (plan.decoding) document["decoding"] = decoding_json(*plan.decoding);
  if (plan.network) document["network"] = network_json(plan);
  return json::to_text(document);
}

Plan parse_plan(std::string_view text, const std::string& label) {
  const Json document = json::parse(text, label);
  const Node root(document, "", label);
  if (root.is_of_kind("segue.set"))
    root.fail(
        "describes several models (segue.set), not one; give it to `segue run --plan`, `segue "
        "serve --plan` or `segue compile`");
  root.expect_kind("segue.plan");
  root.expect_keys({"schema", "model", "device", "strategy", "objective", "stages", "predicted"},
                   root.has("schema") && root["schema"].text() == kSchemaOf01
                       ? Keys{"bound"}
                       : Keys{"bound", "measured_host", "decoding", "network"});
  const bool has_host = root["schema"].text() != kSchemaOf01;
  if (has_host) root["schema"].expect_schema(kSchema);
  Plan plan;
  plan.model = parse_model_part(root["model"]);
  plan.devices =
      root["device"].text_as([](std::string_view names) { return segue::parse_devices(names); });
  parse_strategy_key(root["strategy"], plan);
  constexpr std::array kObjectives{std::string_view("throughput"), std::string_view("latency")};
  plan.objective = parse_objective(root["objective"].choice(kObjectives));
  const auto stages = root["stages"].elements();
  if (stages.empty()) root["stages"].fail("a plan needs at least one stage");
  if (root.has("network")) plan.network = parse_network(root["network"]);
  const std::vector<std::string> nodes = node_names(plan);
  for (std::size_t i = 0; i < stages.size(); ++i)
    plan.stages.push_back(parse_stage(stages[i], i, plan.devices, has_host, nodes));
  check_device_count(root["stages"], plan);
  plan.predicted = parse_prediction(root["predicted"]);
  if (root.has("bound")) plan.bound = parse_bound(root["bound"]);
  if (root.has("measured_host"))
    plan.measured_host = parse_measured_host(root["measured_host"], plan.model.operator_count);
  if (plan.network) check_network(root["network"], plan);
  if (root.has("decoding")) plan.decoding = parse_decoding(root["decoding"]);
  if (plan.network && plan.decoding) root["decoding"].fail("is not supported with a network");
  return plan;
}

Plan read_plan(const std::filesystem::path& path) {
  return parse_plan(read_text_file(path, kLargestFileBytes), path.string());
}

}  // namespace segue
