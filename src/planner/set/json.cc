// set.json.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/internal/json/node.h"
#include "planner/set/groups.h"
#include "segue/file.h"
#include "segue/plan_set.h"

namespace segue {
namespace {

using json::Json;
using json::Node;
using json::rounded;

constexpr std::string_view kSetSchema = "segue.set/1";
constexpr std::size_t kLargestSetBytes = std::size_t{256} << 20U;
constexpr double kMostRatio = 1e15;
constexpr std::uint64_t kLongestSetNs = 100'000'000'000'000'000;  // three years

Json demand_json(const ModelDemand& demand) {
  Json result = Json::object();
  if (demand.rate_per_s) result["rate_per_s"] = *demand.rate_per_s;
  result["weight"] = demand.weight;
  if (demand.max_latency) result["max_latency_ns"] = demand.max_latency->count();
  return result;
}

Json model_json(const SetModel& model) {
  return {{"name", model.demand.name},
          {"source", model.demand.source},
          {"demand", demand_json(model.demand)},
          {"rate_per_s", rounded(model.rate_per_s)},
          {"slack", rounded(model.slack)},
          {"latency_ns", model.latency.count()},
          {"tpus", model.tpus},
          {"plan", Json::parse(to_json(model.plan))}};
}

Json tpu_json(const SetTpu& tpu) {
  Json residents = Json::array();
  for (const Resident& resident : tpu.residents) {
    residents.push_back({{"model", resident.model},
                         {"stage", resident.stage},
                         {"on_chip_bytes", resident.on_chip_bytes},
                         {"host_bytes", resident.host_bytes},
                         {"time_ns", resident.time.count()},
                         {"reload_ns", resident.reload.count()}});
  }
  return {{"sharing", to_string(tpu.sharing)},
          {"utilisation", rounded(tpu.utilisation)},
          {"residents", std::move(residents)}};
}

Nanoseconds set_duration(const Node& node) {
  return Nanoseconds(static_cast<std::int64_t>(node.number(kLongestSetNs)));
}

double number_within(const Node& node, double least, double most) {
  const double value = node.real();
  if (!(value >= least && value <= most))
    node.fail(fmt::format("is {}; must be from {} to {}", value, least, most));
  return value;
}
double rate(const Node& node) { return number_within(node, kLeastSetRate, kMostSetRate); }

ModelDemand parse_demand(const Node& node) {
  const Node demand = node["demand"];
  demand.expect_keys({"weight"}, {"rate_per_s", "max_latency_ns"});
  ModelDemand result{.name = node["name"].text(), .source = node["source"].text()};
  if (demand.has("rate_per_s")) result.rate_per_s = rate(demand["rate_per_s"]);
  result.weight = rate(demand["weight"]);
  if (demand.has("max_latency_ns")) result.max_latency = set_duration(demand["max_latency_ns"]);
  return result;
}

// Names become names of files and folders.
void check_name(const Node& node, const std::string& name) {
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos)
    node.fail("must be the name of a file, without a folder");
}

// `plan` is the value of the key "plan", which has a reader of its own.
SetModel parse_model(const Node& node, const Json& plan, const std::string& label) {
  SetModel result{.demand = parse_demand(node)};
  check_name(node["name"], result.demand.name);
  result.rate_per_s = number_within(node["rate_per_s"], 0, kMostSetRate);
  result.slack = number_within(node["slack"], 0, kMostRatio);
  result.latency = set_duration(node["latency_ns"]);
  result.plan = parse_plan(plan.dump(), fmt::format("{}: plan of {}", label, result.demand.name));
  if (result.plan.model.name != result.demand.name)
    node["name"].fail(fmt::format("must be '{}', the model of its plan", result.plan.model.name));
  for (const Node& stage : node["tpus"].elements()) {
    std::vector<std::uint32_t>& tpus = result.tpus.emplace_back();
    for (const Node& tpu : stage.elements()) tpus.push_back(tpu.small_number());
  }
  return result;
}

SetTpu parse_tpu(const Node& node) {
  node.expect_keys({"sharing", "utilisation", "residents"});
  constexpr std::array kKinds{Sharing::kOwn, Sharing::kCached, Sharing::kSwapped};
  std::array<std::string_view, kKinds.size()> names;
  std::ranges::transform(kKinds, names.begin(), [](Sharing kind) { return to_string(kind); });
  const std::string name = node["sharing"].choice(names);
  SetTpu result;
  for (const Sharing kind : kKinds)
    if (to_string(kind) == name) result.sharing = kind;
  result.utilisation = number_within(node["utilisation"], 0, kMostRatio);
  for (const Node& element : node["residents"].elements()) {
    element.expect_keys({"model", "stage", "on_chip_bytes", "host_bytes", "time_ns", "reload_ns"});
    result.residents.push_back({element["model"].small_number(), element["stage"].small_number(),
                                element["on_chip_bytes"].number(), element["host_bytes"].number(),
                                set_duration(element["time_ns"]),
                                set_duration(element["reload_ns"])});
  }
  if (result.sharing == Sharing::kOwn && result.residents.size() > 1)
    node["sharing"].fail("is \"own\", but the TPU has several residents");
  return result;
}

// Whether the TPU has this stage of the model as its only resident of the model.
bool has_resident(const SetTpu& tpu, std::size_t model, std::size_t stage) {
  const auto is_of_model = [&](const Resident& resident) { return resident.model == model; };
  const auto found = std::ranges::find_if(tpu.residents, is_of_model);
  return found != tpu.residents.end() && found->stage == stage &&
         std::ranges::count_if(tpu.residents, is_of_model) == 1;
}

// A stage must have as many TPUs as replicas. Each of them must have the stage as a resident, and
// no other stage of the model.
void check_places_of(const Node& node, const SetPlan& plan, std::size_t model) {
  const auto& tpus = plan.models[model].tpus;
  const auto& stages = plan.models[model].plan.stages;
  if (tpus.size() != stages.size())
    node.fail(fmt::format("must have one list for each of {} stages", stages.size()));
  std::set<std::uint32_t> used;
  const std::vector<Node> nodes = node.elements();
  for (std::size_t s = 0; s < tpus.size(); ++s) {
    if (tpus[s].size() != stages[s].replicas)
      nodes[s].fail(fmt::format("must have {} TPUs, the replicas", stages[s].replicas));
    for (const std::uint32_t t : tpus[s]) {
      if (t >= plan.tpus.size() || !has_resident(plan.tpus[t], model, s))
        nodes[s].fail(fmt::format("TPU {} must have the stage as a resident", t));
      if (!used.insert(t).second) nodes[s].fail(fmt::format("TPU {} is listed twice", t));
    }
  }
}

void check_places(const Node& root, const SetPlan& plan) {
  const std::vector<Node> models = root["models"].elements();
  std::size_t places = 0;
  for (std::size_t m = 0; m < plan.models.size(); ++m) {
    check_places_of(models[m]["tpus"], plan, m);
    for (const auto& tpus : plan.models[m].tpus) places += tpus.size();
    const auto& devices = plan.models[m].plan.devices;
    if (devices.size() != 1 || devices[0].device != plan.device.device)
      models[m]["plan"].fail(fmt::format("must be for '{}'", plan.device.device));
  }
  std::size_t residents = 0;
  for (const SetTpu& tpu : plan.tpus) residents += tpu.residents.size();
  if (residents != places)
    root["tpus"].fail(fmt::format("have {} residents, but the models have {} stages and replicas",
                                  residents, places));
}

}  // namespace

std::string to_json(const SetPlan& plan) {
  Json models = Json::array();
  for (const SetModel& model : plan.models) models.push_back(model_json(model));
  Json tpus = Json::array();
  for (const SetTpu& tpu : plan.tpus) tpus.push_back(tpu_json(tpu));
  return json::to_text({{"schema", kSetSchema},
                        {"device", to_string(std::span(&plan.device, 1))},
                        {"headroom", plan.headroom},
                        {"models", std::move(models)},
                        {"tpus", std::move(tpus)}});
}

SetPlan parse_set(std::string_view text, const std::string& label) {
  const Json document = json::parse(text, label);
  const Node root(document, "", label);
  root.expect_kind("segue.set");
  root.expect_keys({"schema", "device", "headroom", "models", "tpus"});
  root["schema"].expect_schema(kSetSchema);
  const auto pools =
      root["device"].text_as([](std::string_view names) { return parse_devices(names); });
  if (pools.size() != 1 || pools[0].count == 0)
    root["device"].fail("must be one kind of device with its count");
  SetPlan plan{.device = pools[0], .headroom = root["headroom"].real()};
  if (!(plan.headroom >= 0 && plan.headroom < 1))
    root["headroom"].fail("must be from 0 to below 1");
  const std::vector<Node> models = root["models"].elements();
  if (models.size() > kMostSetModels)
    root["models"].fail(fmt::format("are {}; a set has at most {}", models.size(), kMostSetModels));
  if (root["tpus"].elements().size() > kMostSetTpus)
    root["tpus"].fail(
        fmt::format("are {}; a set has at most {}", root["tpus"].elements().size(), kMostSetTpus));
  for (const Node& model : models) {
    model.expect_keys(
        {"name", "source", "demand", "rate_per_s", "slack", "latency_ns", "tpus", "plan"});
    plan.models.push_back(
        parse_model(model, document["models"][plan.models.size()]["plan"], label));
  }
  for (std::size_t m = 1; m < plan.models.size(); ++m) {
    const std::string& name = plan.models[m].demand.name;
    const auto earlier = std::span(plan.models).first(m);
    if (std::ranges::any_of(earlier, [&](const SetModel& of) { return of.demand.name == name; }))
      root["models"].elements()[m]["name"].fail("is the name of an earlier model");
  }
  if (plan.models.empty()) root["models"].fail("a set needs at least one model");
  for (const Node& tpu : root["tpus"].elements()) plan.tpus.push_back(parse_tpu(tpu));
  if (plan.tpus.size() != plan.device.count)
    root["tpus"].fail(fmt::format("must have {} elements, as the device says", plan.device.count));
  check_places(root, plan);
  return plan;
}

SetPlan read_set(const std::filesystem::path& path) {
  return parse_set(read_text_file(path, kLargestSetBytes), path.string());
}

}  // namespace segue
