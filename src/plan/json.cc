#include <fmt/format.h>
#include <fmt/ranges.h>

#include <initializer_list>
#include <limits>
#include <nlohmann/json.hpp>

#include "segue/device.h"
#include "segue/error.h"
#include "segue/file.h"
#include "segue/plan.h"

namespace segue {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kSchema = "segue.plan/1";
constexpr std::size_t kLargestFileBytes = std::size_t{64} << 20U;

// A value of the document together with its path, so that each complaint names the key.
class Node {
 public:
  Node(const Json& value, std::string path, const std::string& label)
      : value_(value), path_(std::move(path)), label_(label) {}

  [[noreturn]] void fail(const std::string& reason) const {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: {}: {}", label_, path_.empty() ? "the document" : path_, reason));
  }

  // Refuses keys that are missing and keys that are not in the list.
  void expect_keys(std::initializer_list<std::string_view> keys) const {
    if (!value_.is_object()) fail("must be an object");
    for (const std::string_view key : keys) {
      if (!value_.contains(key)) fail(fmt::format("lacks the key \"{}\"", key));
    }
    for (const auto& [key, unused] : value_.items()) {
      if (std::ranges::find(keys, key) == keys.end())
        child(key).fail("unknown key; remove it or update segue");
    }
  }

  [[nodiscard]] Node operator[](const std::string& key) const { return child(key); }

  [[nodiscard]] std::vector<Node> elements() const {
    if (!value_.is_array()) fail("must be a list");
    std::vector<Node> result;
    for (std::size_t i = 0; i < value_.size(); ++i)
      result.emplace_back(value_[i], fmt::format("{}[{}]", path_, i), label_);
    return result;
  }

  [[nodiscard]] std::string text() const {
    if (!value_.is_string()) fail("must be a string");
    return value_.get<std::string>();
  }

  [[nodiscard]] std::uint64_t number(
      std::uint64_t largest = std::numeric_limits<std::uint64_t>::max()) const {
    if (!value_.is_number_unsigned() || value_.get<std::uint64_t>() > largest) {
      fail(fmt::format("must be a whole number from 0 to {}", largest));
    }
    return value_.get<std::uint64_t>();
  }

  [[nodiscard]] std::uint32_t small_number() const {
    return static_cast<std::uint32_t>(number(std::numeric_limits<std::uint32_t>::max()));
  }

  [[nodiscard]] std::vector<std::string> texts() const {
    std::vector<std::string> result;
    for (const Node& element : elements()) result.push_back(element.text());
    return result;
  }

 private:
  [[nodiscard]] Node child(const std::string& key) const {
    return {value_.at(key), path_.empty() ? key : path_ + "." + key, label_};
  }

  const Json& value_;
  std::string path_;
  const std::string& label_;
};

Json to_json(const Stage& stage, std::size_t position) {
  Json operators = Json::array();
  for (const OperatorId id : stage.operators) operators.push_back(index(id));
  return {{"index", position},
          {"operators", std::move(operators)},
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
          {"replicas", stage.replicas}};
}

// One of the words that a key may have.
std::string choice(const Node& node, std::initializer_list<std::string_view> words) {
  std::string text = node.text();
  if (std::ranges::find(words, text) == words.end())
    node.fail(fmt::format(R"(is "{}"; must be one of {})", text, fmt::join(words, ", ")));
  return text;
}

std::string device_name(const Node& node) {
  try {
    return find_device(node.text()).name;
  } catch (const Error& error) {
    node.fail(error.what());
  }
}

PlanModel parse_model_part(const Node& node) {
  node.expect_keys({"name", "sha256", "operator_count", "parameter_bytes", "macs", "depth"});
  const std::string name = node["name"].text();
  if (name.empty() || name.find('/') != std::string::npos)
    node["name"].fail("must be the stem of a file name: segment files are named after it");
  return {name,
          node["sha256"].text(),
          node["operator_count"].number(),
          node["parameter_bytes"].number(),
          node["macs"].number(),
          node["depth"].small_number()};
}

Stage parse_stage(const Node& node, std::size_t position) {
  node.expect_keys({"index", "operators", "first_depth", "last_depth", "inputs", "outputs",
                    "parameter_bytes", "on_chip_bytes", "host_bytes", "macs", "input_bytes",
                    "output_bytes", "replicas"});
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
  stage.replicas = node["replicas"].small_number();
  if (stage.replicas == 0) node["replicas"].fail("must be at least 1");
  return stage;
}

}  // namespace

std::string to_json(const Plan& plan) {
  Json stages = Json::array();
  for (std::size_t i = 0; i < plan.stages.size(); ++i) stages.push_back(to_json(plan.stages[i], i));
  const Json document{{"schema", kSchema},
                      {"model",
                       {{"name", plan.model.name},
                        {"sha256", plan.model.sha256},
                        {"operator_count", plan.model.operator_count},
                        {"parameter_bytes", plan.model.parameter_bytes},
                        {"macs", plan.model.macs},
                        {"depth", plan.model.depth}}},
                      {"device", plan.device},
                      {"strategy", plan.strategy},
                      {"objective", plan.objective},
                      {"stages", std::move(stages)}};
  // Names in a model may hold any bytes; JSON must be UTF-8.
  return document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Plan parse_plan(std::string_view json, const std::string& label) {
  Json document;
  try {
    document = Json::parse(json);
  } catch (const Json::exception& error) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("{}: not JSON: {}", label, error.what()));
  }
  const Node root(document, "", label);
  root.expect_keys({"schema", "model", "device", "strategy", "objective", "stages"});
  if (root["schema"].text() != kSchema) {
    root["schema"].fail(
        fmt::format(R"(is "{}"; this segue reads "{}")", root["schema"].text(), kSchema));
  }
  Plan plan;
  plan.model = parse_model_part(root["model"]);
  plan.device = device_name(root["device"]);
  plan.strategy = choice(root["strategy"], {"compiler", "balanced", "manual"});
  plan.objective = choice(root["objective"], {"throughput"});
  const auto stages = root["stages"].elements();
  if (stages.empty()) root["stages"].fail("a plan needs at least one stage");
  for (std::size_t i = 0; i < stages.size(); ++i) plan.stages.push_back(parse_stage(stages[i], i));
  return plan;
}

Plan read_plan(const std::filesystem::path& path) {
  return parse_plan(read_text_file(path, kLargestFileBytes), path.string());
}

}  // namespace segue
