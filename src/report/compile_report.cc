#include <fmt/format.h>

#include <algorithm>

#include "base/internal/json/node.h"
#include "report/internal/plan_words.h"
#include "segue/report.h"
#include "segue/units.h"

namespace segue {
namespace {

using Json = nlohmann::ordered_json;

const char* name_of(CompilerFailure::Kind kind) {
  using Kind = CompilerFailure::Kind;
  switch (kind) {
    case Kind::kInternal:
      return "internal";
    case Kind::kLargeActivations:
      return "large_activations";
    case Kind::kInterpreter:
      return "interpreter";
    case Kind::kDynamicTensors:
      return "dynamic_tensors";
    case Kind::kNotQuantized:
      return "not_quantized";
    case Kind::kInvalidModel:
      return "invalid_model";
    case Kind::kUnsupportedVersion:
      return "unsupported_version";
    case Kind::kTimeout:
      return "timeout";
    case Kind::kCrash:
      return "crash";
    case Kind::kException:
      return "exception";
    case Kind::kKilled:
      return "killed";
    case Kind::kFileAccess:
      return "file_access";
    case Kind::kNothingMapped:
      return "nothing_mapped";
    case Kind::kSilent:
      return "silent";
    case Kind::kUnknownOption:
      return "unknown_option";
    case Kind::kOther:
      break;
  }
  return "other";
}

// Returns the stage with the compiler's figures, or null if the plan does not have them.
const CompiledStage* simulated_stage(const FolderCompilation& result, std::size_t position) {
  if (!result.plan || !result.plan->stages[position].compiled) return nullptr;
  return &*result.plan->stages[position].compiled;
}

// Returns one line for each row of the compiler's table that is on the host, for example "  on the
// host: 2 SOFTMAX: Operation not supported".
std::string host_rows(const CompilerLog& log) {
  std::string text;
  for (const CompiledOperation& operation : log.operations) {
    if (operation.is_mapped()) continue;
    text += fmt::format("  on the host: {} {}: {}\n", operation.count, printable(operation.name),
                        printable(operation.status));
  }
  return text;
}

std::string success_text(const CompilerLog& log, const CompiledStage* simulated) {
  std::string text = fmt::format("{} on chip, {} streamed from the host",
                                 format_bytes(log.on_chip_bytes), format_bytes(log.host_bytes));
  if (simulated != nullptr) {
    text += fmt::format(" (simulated: {}, {})", format_bytes(simulated->simulated_on_chip_bytes),
                        format_bytes(simulated->simulated_host_bytes));
  }
  text += fmt::format("; {} of {} on the Edge TPU", log.mapped_count,
                      format_count(log.operation_count, "operation"));
  if (log.subgraphs > 1) text += fmt::format(", in {} parts", log.subgraphs);
  return text + "\n" + host_rows(log);
}

std::string culprit_text(const FileCompilation& file) {
  if (!file.culprit) {
    return "  No operator was found as the cause: no part that was compiled alone failed in the "
           "same way.\n";
  }
  const auto& names = file.culprit_names;
  std::string text;
  if (file.culprit->whatever_fails) {
    text = fmt::format(
        "  No single operator is the cause: {} fails alone, and so does an operator of another "
        "kind; is the compiler itself broken?",
        printable(names[0]));
  } else if (names.size() == 1) {
    text = fmt::format("  Cause: {}, which fails when compiled alone", printable(names[0]));
  } else {
    text = fmt::format(
        "  Cause: {} operators from {} to {}, which fail together; bisection found no shorter "
        "range that fails",
        names.size(), printable(names.front()), printable(names.back()));
  }
  return text + fmt::format(" (found with {}).\n",
                            format_count(file.culprit->compilations, "compilation"));
}

std::string failure_text(const FileCompilation& file) {
  const Compilation& compilation = file.compilation;
  std::string text = fmt::format("failed: {}\n  {}\n", printable(compilation.failure->message),
                                 compilation.failure->explanation);
  if (compilation.failure->kind == CompilerFailure::Kind::kNothingMapped)
    text += host_rows(*compilation.log);
  if (file.looked_for_culprit) text += culprit_text(file);
  return text + fmt::format("  Compiler output of {}: {}\n",
                            format_count(compilation.attempts, "attempt"),
                            printable(file.log_file));
}

Json failure_json(const FileCompilation& file) {
  const CompilerFailure& failure = *file.compilation.failure;
  Json result{{"kind", name_of(failure.kind)},
              {"message", json::as_written(failure.message)},
              {"explanation", failure.explanation},
              {"culprit", nullptr}};
  if (file.culprit) {
    Json names = Json::array();
    for (const std::string& name : file.culprit_names) names.push_back(json::as_written(name));
    result["culprit"] = {{"operators", std::move(names)},
                         {"whatever_fails", file.culprit->whatever_fails},
                         {"compilations", file.culprit->compilations}};
  }
  return result;
}

Json log_json(const CompilerLog& log) {
  Json operations = Json::array();
  for (const CompiledOperation& operation : log.operations) {
    operations.push_back({{"name", json::as_written(operation.name)},
                          {"count", operation.count},
                          {"status", json::as_written(operation.status)}});
  }
  return {{"compiler", json::as_written(log.version)},
          {"on_chip_bytes", log.on_chip_bytes},
          {"remaining_bytes", log.remaining_bytes},
          {"host_bytes", log.host_bytes},
          {"subgraphs", log.subgraphs},
          {"operation_count", log.operation_count},
          {"operations", std::move(operations)}};
}

}  // namespace

std::string compile_text(const FolderCompilation& result) {
  std::string text;
  std::size_t failed = 0;
  for (std::size_t i = 0; i < result.files.size(); ++i) {
    const FileCompilation& file = result.files[i];
    const bool succeeded = file.compilation.succeeded();
    failed += succeeded ? 0 : 1;
    text += printable(file.file) + ": " +
            (succeeded ? success_text(*file.compilation.log, simulated_stage(result, i))
                       : failure_text(file));
  }
  if (failed > 0)
    return text + fmt::format("{} of {} failed to compile{}\n", failed,
                              format_count(result.files.size(), "file"),
                              result.plan ? "; plan.json is unchanged" : "");
  text +=
      fmt::format("{} compiled by edgetpu_compiler {}", format_count(result.files.size(), "file"),
                  printable(result.files[0].compilation.log->version));
  if (!result.plan) return text + "\n";
  return text + "; plan.json now holds its memory sizes, and times simulated with them\n" +
         host_operators_note(*result.plan);
}

Table compile_table(const FolderCompilation& result) {
  Table table;
  table.columns = {{"file", Table::Align::kLeft},
                   {"succeeded"},
                   {"on_chip_bytes"},
                   {"host_bytes"},
                   {"operators"},
                   {"host_operators"},
                   {"attempts"},
                   {"time_ns"},
                   {"failure", Table::Align::kLeft}};
  for (const FileCompilation& file : result.files) {
    const Compilation& compilation = file.compilation;
    std::vector<std::string> row{printable(file.file), compilation.succeeded() ? "yes" : "no"};
    if (compilation.succeeded()) {
      const CompilerLog& log = *compilation.log;
      for (const std::uint64_t number :
           {log.on_chip_bytes, log.host_bytes, std::uint64_t{log.operation_count},
            std::uint64_t{log.unmapped_count()}})
        row.push_back(std::to_string(number));
    } else {
      row.insert(row.end(), 4, "-");
    }
    row.push_back(std::to_string(compilation.attempts));
    row.push_back(std::to_string(compilation.time.count()));
    row.push_back(compilation.succeeded() ? "-" : printable(compilation.failure->message));
    table.rows.push_back(std::move(row));
  }
  return table;
}

std::string compile_json(const FolderCompilation& result) {
  Json files = Json::array();
  for (std::size_t i = 0; i < result.files.size(); ++i) {
    const FileCompilation& file = result.files[i];
    const Compilation& compilation = file.compilation;
    const CompiledStage* simulated = simulated_stage(result, i);
    files.push_back(
        {{"file", json::as_written(file.file)},
         {"compiled_file",
          compilation.succeeded() ? Json(json::as_written(file.compiled_file)) : Json(nullptr)},
         {"log_file", json::as_written(file.log_file)},
         {"attempts", compilation.attempts},
         {"time_ns", compilation.time.count()},
         {"compiled", compilation.succeeded() ? log_json(*compilation.log) : Json(nullptr)},
         {"simulated", simulated == nullptr
                           ? Json(nullptr)
                           : Json{{"on_chip_bytes", simulated->simulated_on_chip_bytes},
                                  {"host_bytes", simulated->simulated_host_bytes}}},
         {"failure", compilation.succeeded() ? Json(nullptr) : failure_json(file)}});
  }
  return json::to_text(Json{{"schema", "segue.compile/1"}, {"files", std::move(files)}});
}

}  // namespace segue
