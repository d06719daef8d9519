#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/internal/json/node.h"
#include "report/border.h"
#include "segue/report.h"
#include "segue/units.h"

namespace segue {
namespace {

using Json = nlohmann::ordered_json;

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

std::string executables_text(const Model& model, std::span<const CompiledExecutable> executables,
                             std::size_t width) {
  Table table;
  table.columns = {{"program"},
                   {"operator"},
                   {"type", Table::Align::kLeft},
                   {"cached parameters"},
                   {"streamed parameters"},
                   {"instructions"},
                   {"scratch", Table::Align::kRight, Table::Unit::kNone, "", 1},
                   {"activations per tile", Table::Align::kRight, Table::Unit::kNone, "", 2}};
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
         table.to_text(width);
}

// Returns the operators that run on the host if the whole model is one segment.
std::vector<OperatorId> host_operators(const Graph& graph) {
  return operators_on_host(graph, graph.operators_between(1, graph.depth()));
}

const char* place_of(const Model& model, OperatorId id, std::span<const OperatorId> on_host) {
  if (is_compiled_program(model.op(id))) return "tpu";
  return std::ranges::binary_search(on_host, id) ? "host" : "tpu";
}

// Returns why an operator runs on the host, or empty texts if the TPU computes it.
HostReason reason_of(const Model& model, OperatorId id, std::span<const OperatorId> on_host) {
  if (std::string_view(place_of(model, id, on_host)) == "tpu") return {};
  if (!is_supported_on_device(model, id)) return host_reason(model, id);
  return {
      "it depends on an operator on the host, and a compiled segment has only one part for the TPU",
      "cut after that operator, so that the TPU of the next segment computes it"};
}

// Returns one line for each reason, with the operators that it applies to.
std::string host_text(const Graph& graph) {
  constexpr std::size_t kNamed = 3;
  const Model& model = graph.model();
  struct Group {
    std::string remedy;
    std::vector<OperatorId> operators;
  };
  std::map<std::string, Group> groups;
  const std::vector<OperatorId> on_host = host_operators(graph);
  for (const OperatorId id : on_host) {
    const HostReason reason = reason_of(model, id, on_host);
    if (reason.reason.empty()) continue;
    Group& group = groups[reason.reason];
    group.remedy = reason.remedy;
    group.operators.push_back(id);
  }
  std::string text;
  for (const auto& [reason, group] : groups) {
    text += fmt::format("on the host: {}", printable(model.describe(group.operators[0])));
    for (std::size_t i = 1; i < std::min(kNamed, group.operators.size()); ++i)
      text += fmt::format(", {}", printable(model.describe(group.operators[i])));
    if (group.operators.size() > kNamed)
      text += fmt::format(" and {} more", group.operators.size() - kNamed);
    text += fmt::format(": {}; {}\n", reason, group.remedy);
  }
  return text;
}

Json operators_json(const Graph& graph) {
  Json list = Json::array();
  const Model& model = graph.model();
  const std::vector<OperatorId> on_host = host_operators(graph);
  for (std::size_t i = 0; i < graph.operator_count(); ++i) {
    const OperatorId id = operator_id(i);
    const OperatorStats& stats = graph.stats(id);
    const HostReason reason = reason_of(model, id, on_host);
    Json outputs = Json::array();
    for (const std::int32_t tensor : model.op(id).outputs) {
      outputs.push_back(model.unique_name(tensor_id(tensor)));
    }
    list.push_back({{"index", i},
                    {"operator", model.op(id).name},
                    {"depth", stats.depth},
                    {"runs_on", place_of(model, id, on_host)},
                    {"reason", reason.reason},
                    {"remedy", reason.remedy},
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
  using Unit = Table::Unit;
  constexpr auto kLeft = Table::Align::kLeft;
  constexpr auto kRight = Table::Align::kRight;
  table.columns = {{"operator"},
                   {"depth"},
                   {"name", kLeft},
                   {"runs_on", kLeft, Unit::kNone, "", 1},
                   {"reason", kLeft, Unit::kNone, "", 5},
                   {"parameter_bytes"},
                   {"macs"},
                   {"input_bytes", kRight, Unit::kNone, "", 4},
                   {"output_bytes", kRight, Unit::kNone, "", 3},
                   {"output_shape", kLeft, Unit::kNone, "", 2},
                   {"output", kLeft}};
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
                          place_of(model, id, on_host), reason_of(model, id, on_host).reason,
                          std::to_string(stats.parameter_bytes), std::to_string(stats.macs),
                          std::to_string(stats.input_bytes), std::to_string(stats.output_bytes),
                          shape, name});
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
                         bool with_operators, std::size_t width) {
  const Model& model = graph.model();
  std::uint64_t widest = 0;
  for (const Level& level : graph.levels()) widest = std::max(widest, level.parameter_bytes);
  std::string text =
      fmt::format("{}: {}, depth {}, {} of parameters, {}, file of {}\n", printable(model.name()),
                  format_count(graph.operator_count(), "operator"), graph.depth(),
                  format_bytes(graph.parameter_bytes()), format_macs(graph.macs()),
                  format_bytes(model.bytes().size()));
  if (!model.description().empty())
    text += fmt::format("description: {}\n", printable(model.description()));
  text += fmt::format("inputs: {}\noutputs: {}\n", border_text(model, model.inputs()),
                      border_text(model, model.outputs()));
  text += fmt::format(
      "largest depth level: {} of parameters (the largest segment of any horizontal cut is at "
      "least this large)\n",
      format_bytes(widest));
  if (!executables.empty()) text += executables_text(model, executables, width);
  text += host_text(graph);
  if (with_operators) text += "\n" + operator_table(graph).to_text(width);
  return text;
}

std::string inspect_json(const Graph& graph, std::span<const CompiledExecutable> executables) {
  const Model& model = graph.model();
  return json::to_text({{"schema", "segue.inspect/2"},
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

namespace {

// Says what was run, and how many distinct values were compared.
std::string evidence_text(const VerifyReport& report, const std::string& backend) {
  const bool is_whole = report.operators_run == report.operator_count;
  std::string text = fmt::format(
      "{} reproduce{} the whole model's values, byte for byte, in {}{} written by segments ({}, {} "
      "of them distinct; {})\n",
      format_count(report.inputs_run, "random input"), report.inputs_run == 1 ? "s" : "",
      format_count(report.tensors_compared, "tensor"),
      is_whole ? "" : " of the operators that were run,",
      format_count(report.values_compared, "value"), report.distinct_values, backend);
  for (const std::string& warning : report.warnings) {
    text += fmt::format("warning: weak evidence from tensor {}; try more inputs (--inputs)\n",
                        printable(warning));
  }
  for (const std::string& warning : report.warnings_of_constants) {
    text += fmt::format("warning: weak evidence from tensor {}; it does not depend on any input\n",
                        printable(warning));
  }
  return text;
}

}  // namespace

std::string verify_text(const VerifyReport& report, const std::string& backend) {
  if (!report.agrees()) return fmt::format("MISMATCH: {}\n", printable(report.mismatch, 1000));
  const bool is_whole = report.operators_run == report.operator_count;
  std::string text = fmt::format(
      "{}: {}, {} matched one to one, {} of constants equal; ",
      is_whole ? "Verified" : "Partially verified", format_count(report.segment_count, "segment"),
      format_count(report.operator_count, "operator"), format_bytes(report.parameter_bytes));
  if (is_whole) return text + evidence_text(report, backend);
  return text +
         fmt::format("{} of {} were run, because {}; ", report.operators_run,
                     format_count(report.operator_count, "operator"),
                     printable(report.not_run, 1000)) +
         evidence_text(report, backend);
}

Table verify_table(const VerifyReport& report) {
  Table table;
  table.columns = {{"agrees"},           {"segment_count"},   {"operator_count"},
                   {"operators_run"},    {"parameter_bytes"}, {"inputs_run"},
                   {"tensors_compared"}, {"values_compared"}, {"distinct_values"},
                   {"bytes_compared"},   {"warnings"},        {"mismatch", Table::Align::kLeft}};
  table.rows = {{report.agrees() ? "true" : "false", std::to_string(report.segment_count),
                 std::to_string(report.operator_count), std::to_string(report.operators_run),
                 std::to_string(report.parameter_bytes), std::to_string(report.inputs_run),
                 std::to_string(report.tensors_compared), std::to_string(report.values_compared),
                 std::to_string(report.distinct_values), std::to_string(report.bytes_compared),
                 std::to_string(report.warnings.size() + report.warnings_of_constants.size()),
                 printable(report.mismatch)}};
  return table;
}

std::string verify_json(const VerifyReport& report, const std::string& backend) {
  return json::to_text({{"schema", "segue.verify/2"},
                        {"agrees", report.agrees()},
                        {"mismatch", report.mismatch},
                        {"backend", backend},
                        {"segment_count", report.segment_count},
                        {"operator_count", report.operator_count},
                        {"operators_run", report.operators_run},
                        {"not_run", report.not_run},
                        {"parameter_bytes", report.parameter_bytes},
                        {"inputs_run", report.inputs_run},
                        {"tensors_compared", report.tensors_compared},
                        {"values_compared", report.values_compared},
                        {"distinct_values", report.distinct_values},
                        {"bytes_compared", report.bytes_compared},
                        {"warnings", report.warnings},
                        {"warnings_of_constants", report.warnings_of_constants}});
}

}  // namespace segue
