#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "json/node.h"
#include "segue/report.h"
#include "segue/units.h"

namespace segue {
namespace {

using Json = nlohmann::ordered_json;

std::string shape_text(const Tensor& tensor) {
  return fmt::format("{}", fmt::join(tensor.shape, "x"));
}

std::string border_text(const Model& model, std::span<const TensorId> tensors) {
  std::vector<std::string> parts;
  for (const TensorId id : tensors) {
    const Tensor& tensor = model.tensor(id);
    parts.push_back(fmt::format("{} {} {}", printable(model.unique_name(id), 60),
                                to_string(tensor.type), shape_text(tensor)));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string_view type_text(ExecutableType type) {
  switch (type) {
    case ExecutableType::kStandAlone:
      return "stand-alone";
    case ExecutableType::kParameterCaching:
      return "parameter-caching";
    case ExecutableType::kExecutionOnly:
      return "execution-only";
  }
  return "unknown";
}

bool is_cached(const CompiledExecutable& executable) {
  return executable.type == ExecutableType::kParameterCaching;
}

std::string executables_text(const Model& model, std::span<const CompiledExecutable> executables) {
  Table table;
  table.columns = {{"program"},
                   {"operator"},
                   {"type", Table::Align::kLeft},
                   {"cached parameters"},
                   {"streamed parameters"},
                   {"instructions"},
                   {"scratch"},
                   {"activations per tile"}};
  std::uint64_t cached = 0;
  std::uint64_t streamed = 0;
  for (std::size_t i = 0; i < executables.size(); ++i) {
    const CompiledExecutable& e = executables[i];
    (is_cached(e) ? cached : streamed) += e.parameter_bytes;
    table.rows.push_back(
        {std::to_string(i), fmt::format("#{}", index(e.op)), std::string(type_text(e.type)),
         format_bytes(is_cached(e) ? e.parameter_bytes : 0),
         format_bytes(is_cached(e) ? 0 : e.parameter_bytes), format_bytes(e.instruction_bytes),
         format_bytes(e.scratch_bytes), format_bytes(e.narrow_bytes_per_tile)});
  }
  return fmt::format(
             "\nCompiled for the Edge TPU: {} ({} B) of parameters cached on chip, {} ({} B) "
             "streamed at each "
             "inference (read from {}.tflite)\n",
             format_bytes(cached), cached, format_bytes(streamed), streamed,
             printable(model.name())) +
         table.to_text();
}

Json border_json(const Model& model, std::span<const TensorId> tensors) {
  Json list = Json::array();
  for (const TensorId id : tensors) {
    const Tensor& tensor = model.tensor(id);
    list.push_back({{"name", model.unique_name(id)},
                    {"type", to_string(tensor.type)},
                    {"shape", std::vector<std::int32_t>(tensor.shape.begin(), tensor.shape.end())},
                    {"bytes", tensor.bytes}});
  }
  return list;
}

// When the whole model is one segment.
std::vector<OperatorId> host_operators(const Graph& graph) {
  return operators_on_host(graph, graph.operators_between(1, graph.depth()));
}

const char* place_of(const Model& model, OperatorId id, std::span<const OperatorId> on_host) {
  if (is_compiled_program(model.op(id))) return "tpu";
  return std::ranges::binary_search(on_host, id) ? "host" : "tpu";
}

Json operators_json(const Graph& graph) {
  Json list = Json::array();
  const Model& model = graph.model();
  const std::vector<OperatorId> on_host = host_operators(graph);
  for (std::size_t i = 0; i < graph.operator_count(); ++i) {
    const OperatorId id = operator_id(i);
    const OperatorStats& stats = graph.stats(id);
    Json outputs = Json::array();
    for (const std::int32_t tensor : model.op(id).outputs) {
      outputs.push_back(model.unique_name(tensor_id(tensor)));
    }
    list.push_back({{"index", i},
                    {"operator", model.op(id).name},
                    {"depth", stats.depth},
                    {"runs_on", place_of(model, id, on_host)},
                    {"parameter_bytes", stats.parameter_bytes},
                    {"macs", stats.macs},
                    {"input_bytes", stats.input_bytes},
                    {"output_bytes", stats.output_bytes},
                    {"outputs", std::move(outputs)}});
  }
  return list;
}

Json levels_json(const Graph& graph) {
  Json list = Json::array();
  for (const Level& level : graph.levels()) {
    list.push_back({{"depth", level.depth},
                    {"operator_count", level.operator_count},
                    {"parameter_bytes", level.parameter_bytes},
                    {"macs", level.macs},
                    {"output_bytes", level.output_bytes},
                    {"crossing_tensors", level.crossing_tensors},
                    {"crossing_bytes", level.crossing_bytes}});
  }
  return list;
}

Json executables_json(std::span<const CompiledExecutable> executables) {
  Json list = Json::array();
  for (const CompiledExecutable& e : executables) {
    list.push_back({{"operator", index(e.op)},
                    {"type", type_text(e.type)},
                    {"cached_parameter_bytes", is_cached(e) ? e.parameter_bytes : 0},
                    {"streamed_parameter_bytes", is_cached(e) ? 0 : e.parameter_bytes},
                    {"instruction_bytes", e.instruction_bytes},
                    {"scratch_bytes", e.scratch_bytes},
                    {"narrow_memory_bytes_per_tile", e.narrow_bytes_per_tile}});
  }
  return list;
}

}  // namespace

Table operator_table(const Graph& graph) {
  const Model& model = graph.model();
  Table table;
  table.columns = {{"index"},
                   {"depth"},
                   {"operator", Table::Align::kLeft},
                   {"runs_on", Table::Align::kLeft},
                   {"parameter_bytes"},
                   {"macs"},
                   {"input_bytes"},
                   {"output_bytes"},
                   {"output_shape", Table::Align::kLeft},
                   {"output", Table::Align::kLeft}};
  const std::vector<OperatorId> on_host = host_operators(graph);
  for (std::size_t i = 0; i < graph.operator_count(); ++i) {
    const OperatorId id = operator_id(i);
    const OperatorStats& stats = graph.stats(id);
    const Operator& op = model.op(id);
    std::string shape;
    std::string name;
    if (!op.outputs.empty()) {
      const TensorId output{static_cast<std::uint32_t>(op.outputs[0])};
      shape = shape_text(model.tensor(output));
      name = printable(model.unique_name(output));
    }
    table.rows.push_back({std::to_string(i), std::to_string(stats.depth), printable(op.name, 40),
                          place_of(model, id, on_host), std::to_string(stats.parameter_bytes),
                          std::to_string(stats.macs), std::to_string(stats.input_bytes),
                          std::to_string(stats.output_bytes), shape, name});
  }
  return table;
}

Table executable_table(std::span<const CompiledExecutable> executables) {
  Table table;
  table.columns = {{"program"},
                   {"operator"},
                   {"type", Table::Align::kLeft},
                   {"cached_parameter_bytes"},
                   {"streamed_parameter_bytes"},
                   {"instruction_bytes"},
                   {"scratch_bytes"},
                   {"narrow_memory_bytes_per_tile"}};
  for (std::size_t i = 0; i < executables.size(); ++i) {
    const CompiledExecutable& e = executables[i];
    table.rows.push_back(
        {std::to_string(i), std::to_string(index(e.op)), std::string(type_text(e.type)),
         std::to_string(is_cached(e) ? e.parameter_bytes : 0),
         std::to_string(is_cached(e) ? 0 : e.parameter_bytes), std::to_string(e.instruction_bytes),
         std::to_string(e.scratch_bytes), std::to_string(e.narrow_bytes_per_tile)});
  }
  return table;
}

std::string inspect_text(const Graph& graph, std::span<const CompiledExecutable> executables,
                         bool with_operators) {
  const Model& model = graph.model();
  std::uint64_t widest = 0;
  for (const Level& level : graph.levels()) widest = std::max(widest, level.parameter_bytes);
  std::string text = fmt::format("{}: {} operators, depth {}, {} of parameters, {}, file of {}\n",
                                 printable(model.name()), graph.operator_count(), graph.depth(),
                                 format_bytes(graph.parameter_bytes()), format_macs(graph.macs()),
                                 format_bytes(model.bytes().size()));
  if (!model.description().empty())
    text += fmt::format("description: {}\n", printable(model.description()));
  text += fmt::format("inputs: {}\noutputs: {}\n", border_text(model, model.inputs()),
                      border_text(model, model.outputs()));
  text += fmt::format(
      "largest depth level: {} of parameters (no horizontal cut has a smaller largest segment)\n",
      format_bytes(widest));
  if (!executables.empty()) text += executables_text(model, executables);
  if (with_operators) text += "\n" + operator_table(graph).to_text();
  return text;
}

std::string inspect_json(const Graph& graph, std::span<const CompiledExecutable> executables) {
  const Model& model = graph.model();
  return json::to_text({{"schema", "segue.inspect/1"},
                        {"model",
                         {{"name", model.name()},
                          {"sha256", sha256(model.bytes())},
                          {"file_bytes", model.bytes().size()},
                          {"operator_count", graph.operator_count()},
                          {"parameter_bytes", graph.parameter_bytes()},
                          {"macs", graph.macs()},
                          {"depth", graph.depth()}}},
                        {"inputs", border_json(model, model.inputs())},
                        {"outputs", border_json(model, model.outputs())},
                        {"executables", executables_json(executables)},
                        {"operators", operators_json(graph)},
                        {"levels", levels_json(graph)}});
}

std::string verify_text(const VerifyReport& report, const std::string& backend) {
  if (!report.agrees()) return fmt::format("MISMATCH: {}\n", printable(report.mismatch, 1000));
  return fmt::format(
      "Verified: {} segments, {} operators matched one to one, {} of constants equal; {} random "
      "inputs "
      "give the whole model's outputs byte for byte ({} compared, {})\n",
      report.segment_count, report.operator_count, format_bytes(report.parameter_bytes),
      report.inputs_run, format_bytes(report.output_bytes_compared), backend);
}

Table verify_table(const VerifyReport& report) {
  Table table;
  table.columns = {{"agrees"},
                   {"segment_count"},
                   {"operator_count"},
                   {"parameter_bytes"},
                   {"inputs_run"},
                   {"output_bytes_compared"},
                   {"mismatch", Table::Align::kLeft}};
  table.rows = {{report.agrees() ? "true" : "false", std::to_string(report.segment_count),
                 std::to_string(report.operator_count), std::to_string(report.parameter_bytes),
                 std::to_string(report.inputs_run), std::to_string(report.output_bytes_compared),
                 printable(report.mismatch)}};
  return table;
}

std::string verify_json(const VerifyReport& report, const std::string& backend) {
  return json::to_text({{"schema", "segue.verify/1"},
                        {"agrees", report.agrees()},
                        {"mismatch", report.mismatch},
                        {"backend", backend},
                        {"segment_count", report.segment_count},
                        {"operator_count", report.operator_count},
                        {"parameter_bytes", report.parameter_bytes},
                        {"inputs_run", report.inputs_run},
                        {"output_bytes_compared", report.output_bytes_compared}});
}

}  // namespace segue
