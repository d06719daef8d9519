#include <memory>

#include "cli/commands.h"
#include "segue/report.h"

namespace segue::cli {
namespace {

struct Options {
  std::string model;
  std::string signature;
  FormatOptions format;
  bool is_brief = false;
};

void run(const Options& options) {
  const Model model = open_noted(options.model, options.signature);
  if (!is_compiled(model)) {
    for (const std::string& obstacle : obstacles_to_cutting(model))
      print_note("no plan can be made of " + obstacle);
  }
  const Graph graph(model);
  const auto executables = compiled_executables(model);
  if (options.format.json) return print(inspect_json(graph, executables));
  if (options.format.csv) {
    return print(executables.empty() ? operator_table(graph).to_csv()
                                     : executable_table(executables).to_csv());
  }
  print(inspect_text(graph, executables, !options.is_brief));
}

}  // namespace

void add_inspect(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("inspect", "Show operators, depths, bytes and MACs of a model");
  auto options = std::make_shared<Options>();
  command
      ->add_option("MODEL", options->model,
                   "A .tflite file (also a compiled one), or zoo:NAME[@SIZE]")
      ->required();
  add_signature(*command, options->signature);
  add_format(*command, options->format);
  command->add_flag("--brief", options->is_brief, "Leave out the list of operators")
      ->excludes("--json")
      ->excludes("--csv");
  command->callback([options] { run(*options); });
}

}  // namespace segue::cli
