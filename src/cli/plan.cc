#include <memory>
#include <optional>

#include "cli/commands.h"
#include "segue/error.h"
#include "segue/file.h"
#include "segue/report.h"
#include "segue/zoo.h"

namespace segue::cli {
namespace {

struct Options {
  std::string model;
  CutOptions cut;
  FormatOptions format;
  std::string output;
  bool per_operator = false;
};

// What Google's rule gives for as many equal devices; nothing where it cannot.
std::optional<Plan> vendor_plan(const Graph& graph, const Options& options, const Plan& plan) {
  if (options.cut.strategy == "compiler") return std::nullopt;
  CutOptions vendor;
  vendor.strategy = "compiler";
  vendor.device = options.cut.device;
  try {
    return make_cut_for(graph, vendor, plan.device_count()).plan;
  } catch (const Error&) {
    return std::nullopt;
  }
}

std::string operators_of(const Plan& plan, const Graph& graph, const Options& options) {
  const auto pools = devices_of_plan(plan, options.cut.device);
  if (pools.size() > 1)
    throw Error(ErrorCode::kInvalidArgument,
                "--operators: the devices differ, and with them what an operator takes; name one "
                "kind");
  const Table table = plan_operator_table(plan, graph, pools[0].device);
  return options.format.csv ? table.to_csv() : table.to_text();
}

void run(const Options& options) {
  const Model model = open_model(options.model);
  const Graph graph(model);
  CutResult result = make_cut(graph, options.cut);
  if (options.format.json || !options.output.empty()) identify_model(result.plan, model);
  if (!options.output.empty()) write_file(options.output, to_json(result.plan));
  if (options.format.json) return print(to_json(result.plan));
  if (options.per_operator) return print(operators_of(result.plan, graph, options));
  if (options.format.csv) return print(plan_table(result.plan).to_csv());
  const std::optional<Plan> vendor = vendor_plan(graph, options, result.plan);
  print(plan_text(result.plan, vendor ? &*vendor : nullptr) + result.notes);
}

}  // namespace

void add_plan(CLI::App& app) {
  CLI::App* command = app.add_subcommand("plan", "Choose where to cut a model for N Edge TPUs");
  auto options = std::make_shared<Options>();
  command->add_option("MODEL", options->model, "A .tflite file, or zoo:NAME[@SIZE]")->required();
  add_cut(*command, options->cut);
  add_format(*command, options->format);
  command
      ->add_flag("--operators", options->per_operator,
                 "One row per operator instead of per stage, with the place of its parameters")
      ->excludes("--json");
  add_output(*command, options->output, "Also write the plan as JSON to this file");
  command->callback([options] { run(*options); });
}

}  // namespace segue::cli
