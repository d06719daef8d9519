#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/internal/json/node.h"
#include "report/border.h"
#include "segue/graph.h"
#include "segue/report.h"
#include "segue/units.h"

namespace segue {
namespace {

using Json = nlohmann::ordered_json;

// Sums over the operators of one segment.
struct Figures {
  std::string file;
  std::size_t operators = 0;
  std::uint64_t file_bytes = 0;
  std::uint64_t parameter_bytes = 0;  // of operators that are not compiled programs
  std::uint64_t cached_bytes = 0;     // of programs
  std::uint64_t streamed_bytes = 0;
  std::uint64_t input_bytes = 0;
  std::uint64_t output_bytes = 0;
};

Figures figures_of(const Split& split, std::size_t segment) {
  const Model& model = split.segments[segment];
  Figures figures;
  figures.file = split.files[segment].filename().string();
  figures.operators = model.operators().size();
  figures.file_bytes = model.bytes().size();
  figures.parameter_bytes = Graph(model).parameter_bytes();
  for (const CompiledExecutable& e : compiled_executables(model)) {
    const bool is_cached = e.type == ExecutableType::kParameterCaching;
    (is_cached ? figures.cached_bytes : figures.streamed_bytes) += e.parameter_bytes;
  }
  for (const TensorId id : model.inputs()) figures.input_bytes += model.tensor(id).bytes;
  for (const TensorId id : model.outputs()) figures.output_bytes += model.tensor(id).bytes;
  return figures;
}

bool is_any_compiled(const Split& split) {
  return std::ranges::any_of(split.segments, is_compiled);
}

// Returns "segment" with its number, or `otherwise` ("input" or "output") if it has none.
std::string end_text(const std::optional<std::size_t>& segment, const char* otherwise) {
  return segment ? fmt::format("segment {}", *segment) : otherwise;
}

std::string passage_text(const Model& model, TensorId id, const std::string& from,
                         const std::string& to) {
  return fmt::format("{} -> {}: {}, {}\n", from, to, border_text(model, std::span(&id, 1)),
                     format_bytes(model.tensor(id).bytes));
}

// Returns one line for each tensor and each segment that reads it, and for each output of the
// pipeline.
std::string passages_text(const Split& split) {
  std::map<std::string_view, std::size_t> writers;
  std::map<std::string_view, bool> is_read;
  std::string text;
  for (std::size_t s = 0; s < split.segments.size(); ++s) {
    const Model& model = split.segments[s];
    for (const TensorId id : model.inputs()) {
      const std::string_view name = model.tensor(id).name;
      is_read[name] = true;
      const auto writer = writers.find(name);
      const auto from =
          writer == writers.end() ? std::nullopt : std::optional<std::size_t>(writer->second);
      text += passage_text(model, id, end_text(from, "input"), end_text(s, ""));
    }
    for (const TensorId id : model.outputs()) writers[model.tensor(id).name] = s;
  }
  for (std::size_t s = 0; s < split.segments.size(); ++s) {
    const Model& model = split.segments[s];
    for (const TensorId id : model.outputs()) {
      if (!is_read[model.tensor(id).name])
        text += passage_text(model, id, end_text(s, ""), "output");
    }
  }
  return text;
}

}  // namespace

std::string segments_text(const Split& split, std::size_t width) {
  const bool has_programs = is_any_compiled(split);
  Table table;
  table.columns = {{"segment"},
                   {"operators"},
                   {"file size", Table::Align::kRight, Table::Unit::kNone, "", 2},
                   {"parameters"}};
  if (has_programs) {
    table.columns.push_back({"cached parameters"});
    table.columns.push_back({"streamed parameters"});
  }
  for (const char* title : {"reads", "writes"})
    table.columns.push_back({title, Table::Align::kRight, Table::Unit::kNone, "", 1});
  table.columns.push_back({"file", Table::Align::kLeft});
  for (std::size_t s = 0; s < split.segments.size(); ++s) {
    const Figures f = figures_of(split, s);
    std::vector<std::string> row{std::to_string(s), std::to_string(f.operators),
                                 format_bytes(f.file_bytes), format_bytes(f.parameter_bytes)};
    if (has_programs) {
      row.push_back(format_bytes(f.cached_bytes));
      row.push_back(format_bytes(f.streamed_bytes));
    }
    row.push_back(format_bytes(f.input_bytes));
    row.push_back(format_bytes(f.output_bytes));
    row.push_back(printable(f.file));
    table.rows.push_back(std::move(row));
  }
  return fmt::format("{}{}, in order; each reads outputs of the segments before it\n\n",
                     format_count(split.segments.size(), "segment"),
                     has_programs ? ", compiled for the Edge TPU" : "") +
         table.to_text(width) + "\n" + passages_text(split);
}

Table segments_table(const Split& split) {
  Table table;
  table.columns = {{"segment"},
                   {"file", Table::Align::kLeft},
                   {"operators"},
                   {"file_bytes"},
                   {"parameter_bytes"},
                   {"cached_parameter_bytes"},
                   {"streamed_parameter_bytes"},
                   {"input_bytes"},
                   {"output_bytes"}};
  for (std::size_t s = 0; s < split.segments.size(); ++s) {
    const Figures f = figures_of(split, s);
    table.rows.push_back({std::to_string(s), printable(f.file), std::to_string(f.operators),
                          std::to_string(f.file_bytes), std::to_string(f.parameter_bytes),
                          std::to_string(f.cached_bytes), std::to_string(f.streamed_bytes),
                          std::to_string(f.input_bytes), std::to_string(f.output_bytes)});
  }
  return table;
}

std::string segments_json(const Split& split) {
  Json segments = Json::array();
  for (std::size_t s = 0; s < split.segments.size(); ++s) {
    const Model& model = split.segments[s];
    const Figures f = figures_of(split, s);
    segments.push_back({{"index", s},
                        {"file", f.file},
                        {"operators", f.operators},
                        {"file_bytes", f.file_bytes},
                        {"parameter_bytes", f.parameter_bytes},
                        {"cached_parameter_bytes", f.cached_bytes},
                        {"streamed_parameter_bytes", f.streamed_bytes},
                        {"inputs", border_json(model, model.inputs())},
                        {"outputs", border_json(model, model.outputs())}});
  }
  return json::to_text({{"schema", "segue.segments/1"}, {"segments", std::move(segments)}});
}

Table split_table(const Plan& plan) {
  Table table;
  table.columns = {{"file", Table::Align::kLeft},
                   {"operators"},
                   {"parameter_bytes"},
                   {"on_chip_bytes"},
                   {"host_bytes"},
                   {"replicas"},
                   {"host_operators"},
                   {"host_ns"}};
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    const Stage& stage = plan.stages[i];
    table.rows.push_back({printable(segment_file_name(plan.model.name, i, plan.stages.size())),
                          std::to_string(stage.operators.size()),
                          std::to_string(stage.parameter_bytes),
                          std::to_string(stage.on_chip_bytes), std::to_string(stage.host_bytes),
                          std::to_string(stage.replicas), std::to_string(stage.time.host_operators),
                          std::to_string(stage.time.host.count())});
  }
  return table;
}

std::string split_json(const Plan& plan, const std::string& folder, std::uint64_t bytes) {
  nlohmann::ordered_json files = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    const Stage& stage = plan.stages[i];
    files.push_back({{"name", segment_file_name(plan.model.name, i, plan.stages.size())},
                     {"operators", stage.operators.size()},
                     {"parameter_bytes", stage.parameter_bytes},
                     {"on_chip_bytes", stage.on_chip_bytes},
                     {"host_bytes", stage.host_bytes},
                     {"replicas", stage.replicas},
                     {"host_operators", stage.time.host_operators},
                     {"host_ns", stage.time.host.count()}});
  }
  return json::to_text({{"schema", "segue.split/2"},
                        {"folder", folder},
                        {"bytes", bytes},
                        {"files", std::move(files)}});
}

}  // namespace segue
