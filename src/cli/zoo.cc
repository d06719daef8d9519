#include "segue/zoo.h"

#include <fmt/format.h>

#include <array>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/written.h"
#include "segue/error.h"
#include "segue/file.h"
#include "segue/report.h"
#include "segue/units.h"

namespace segue::cli {
namespace {

struct ZooArguments {
  std::string name;
  std::string output;
  FormatOptions format;
};

Table zoo_table() {
  Table table;
  table.columns = {{"name", Table::Align::kLeft},
                   {"model", Table::Align::kLeft},
                   {"input"},
                   {"keras_parameters"}};
  for (const ZooEntry& entry : zoo_catalogue()) {
    table.rows.push_back(
        {entry.name, entry.title, entry.input_size == 0 ? "" : std::to_string(entry.input_size),
         entry.keras_parameters == 0 ? "" : std::to_string(entry.keras_parameters)});
  }
  return table;
}

std::string zoo_json() {
  nlohmann::ordered_json models = nlohmann::ordered_json::array();
  for (const ZooEntry& entry : zoo_catalogue()) {
    models.push_back({{"name", entry.name},
                      {"title", entry.title},
                      {"input_size", entry.input_size},
                      {"keras_parameters", entry.keras_parameters}});
  }
  return nlohmann::ordered_json{{"schema", "segue.zoo/1"}, {"models", std::move(models)}}.dump(2) +
         "\n";
}

void write_model(const ZooArguments& options) {
  const std::vector<std::byte> bytes = make_zoo_model(options.name);
  const std::string path = options.output.empty() ? options.name + ".tflite" : options.output;
  StagedFiles files;
  const std::array pieces{std::span<const std::byte>(bytes)};
  const BeforeWriting before({path});
  files.stage(path, pieces);
  files.commit();
  print_text(
      fmt::format("{}: {} ({})\n", printable(path), before.change(), format_bytes(bytes.size())));
}

void run(const ZooArguments& options) {
  if (!options.name.empty()) {
    if (options.format.json || options.format.csv)
      throw Error(ErrorCode::kInvalidArgument,
                  "--json and --csv print the list of networks; remove NAME");
    return write_model(options);
  }
  if (!options.output.empty())
    throw Error(ErrorCode::kInvalidArgument, "-o requires the NAME of a network");
  if (options.format.json) return print(zoo_json());
  if (options.format.csv) return print(zoo_table().to_csv());
  print_text(
      zoo_table().to_text(text_width()) +
      "\nUse a network as zoo:NAME or zoo:NAME@SIZE (input of SIZE pixels). Weights are random.\n");
}

}  // namespace

void add_zoo(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("zoo", "List the built-in CNNs, or write one as a .tflite file");
  auto options = std::make_shared<ZooArguments>();
  command->add_option("NAME", options->name, "Model to write, as NAME or NAME@SIZE");
  add_output(*command, options->output,
             std::string("File to write (default NAME.tflite)") + kReplaces);
  add_format(*command, options->format);
  command->callback([options] { run(*options); });
}

}  // namespace segue::cli
