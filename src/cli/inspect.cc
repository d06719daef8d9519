#include <array>
#include <filesystem>
#include <memory>

#include "cli/commands.h"
#include "segue/report.h"
#include "segue/verify.h"

namespace segue::cli {
namespace {

struct InspectArguments {
  std::string model;
  std::string signature;
  FormatOptions format;
  bool is_brief = false;
};

void show_folder(const CLI::App& command, const InspectArguments& options) {
  constexpr std::array kOfModels{"--brief", "--signature"};
  refuse_options(command, kOfModels, "requires a model, not a folder of segments");
  const Split split = read_split(options.model, SegmentFiles::kAny);
  if (options.format.json) return print(segments_json(split));
  if (options.format.csv) return print(segments_table(split).to_csv());
  print_text(segments_text(split, text_width()));
}

void run(const CLI::App& command, const InspectArguments& options) {
  std::error_code absent;
  if (std::filesystem::is_directory(options.model, absent)) return show_folder(command, options);
  const Model model = open_noted(options.model, options.signature);
  if (!is_compiled(model)) {
    for (const std::string& obstacle : obstacles_to_cutting(model))
      print_note("this model cannot be partitioned: " + obstacle);
  }
  const Graph graph(model);
  const auto executables = compiled_executables(model);
  if (options.format.json) return print(inspect_json(graph, executables));
  if (options.format.csv) {
    return print(executables.empty() ? operator_table(graph).to_csv()
                                     : executable_table(executables).to_csv());
  }
  print_text(inspect_text(graph, executables, !options.is_brief, text_width()));
}

}  // namespace

void add_inspect(CLI::App& app) {
  CLI::App* command = app.add_subcommand("inspect",
                                         "Show operators, depths, bytes and MACs of a model, "
                                         "or the segments in a folder");
  auto options = std::make_shared<InspectArguments>();
  command
      ->add_option("MODEL", options->model,
                   "A .tflite file (compiled or not), zoo:NAME[@SIZE], or a folder of segments")
      ->required();
  add_signature(*command, options->signature);
  add_format(*command, options->format);
  command->add_flag("--brief", options->is_brief, "Omit the list of operators")
      ->excludes("--json")
      ->excludes("--csv");
  command->callback([command, options] { run(*command, *options); });
}

}  // namespace segue::cli
