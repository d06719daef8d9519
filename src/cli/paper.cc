#include <memory>

#include "cli/commands.h"
#include "segue/accuracy.h"
#include "segue/error.h"
#include "segue/file.h"
#include "segue/report.h"

namespace segue::cli {
namespace {

struct FigureOptions {
  int number = 0;
};

struct AccuracyOptions {
  std::string plot;
  FormatOptions format;
};

void draw_figure(const FigureOptions& options) {
  if (options.number != 1)
    throw Error(ErrorCode::kInvalidArgument, "only figure 1 (the array) can be drawn");
  print(array_figure());
}

void show_accuracy(const AccuracyOptions& options) {
  const auto series = evaluate_accuracy();
  if (!options.plot.empty()) write_file(options.plot, accuracy_plot(series));
  if (options.format.json) return print(accuracy_json(series));
  if (options.format.csv) return print(accuracy_table(series).to_csv());
  print(accuracy_markdown(series));
}

}  // namespace

void add_paper(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("paper", "Reproduce parts of the paper and the simulator's own error");
  command->require_subcommand(1);
  auto figure_options = std::make_shared<FigureOptions>();
  CLI::App* figure = command->add_subcommand("figure", "Draw a figure in the terminal");
  figure->add_option("NUMBER", figure_options->number, "1: a 3x3 systolic array, cycle by cycle")
      ->required();
  figure->callback([figure_options] { draw_figure(*figure_options); });

  auto accuracy_options = std::make_shared<AccuracyOptions>();
  CLI::App* accuracy = command->add_subcommand(
      "accuracy", "Compare simulated times with times that others measured on Edge TPUs");
  accuracy->add_option("--plot", accuracy_options->plot, "Also write a picture (SVG) to this file");
  add_format(*accuracy, accuracy_options->format);
  accuracy->callback([accuracy_options] { show_accuracy(*accuracy_options); });
}

}  // namespace segue::cli
