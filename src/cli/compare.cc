#include <memory>

#include "cli/commands.h"
#include "cli/compared_plans.h"
#include "segue/report.h"

namespace segue::cli {
namespace {

struct CompareArguments {
  std::string model;
  std::string signature;
  ComparisonOptions comparison;
  FormatOptions format;
};

void run(const CompareArguments& options) {
  const Model model = open_noted(options.model, options.signature);
  const auto plans = compare(Graph(model), options.comparison).plans;
  if (options.format.json) return print(compare_json(model.name(), plans));
  if (options.format.csv) return print(compare_table(plans).to_csv());
  print_text(compare_text(model.name(), plans, text_width()));
}

}  // namespace

void add_compare(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "compare", "Compare all strategies for a range of TPU counts in one table");
  auto options = std::make_shared<CompareArguments>();
  command->add_option("MODEL", options->model, "A .tflite file, or zoo:NAME[@SIZE]")->required();
  add_signature(*command, options->signature);
  add_comparison(*command, options->comparison);
  add_format(*command, options->format);
  command->callback([options] { run(*options); });
}

}  // namespace segue::cli
