#include <memory>

#include "cli/commands.h"
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
};

void run(const Options& options) {
  const Model model = open_model(options.model);
  const Graph graph(model);
  require_other_file(options.model, options.output);
  CutResult result = make_cut(graph, options.cut);
  if (options.format.json || !options.output.empty()) identify_model(result.plan, model);
  if (!options.output.empty()) write_file(options.output, to_json(result.plan));
  if (options.format.json) return print(to_json(result.plan));
  if (options.format.csv) return print(plan_table(result.plan).to_csv());
  if (options.cut.strategy == "compiler") return print(plan_text(result.plan, nullptr));
  CutOptions vendor = options.cut;
  vendor.strategy = "compiler";
  vendor.objective = "throughput";
  vendor.max_replicas = 0;
  const CutResult baseline = make_cut(graph, vendor);
  print(plan_text(result.plan, &baseline.plan) + result.refinement);
}

}  // namespace

void add_plan(CLI::App& app) {
  CLI::App* command = app.add_subcommand("plan", "Choose where to cut a model for N Edge TPUs");
  auto options = std::make_shared<Options>();
  command->add_option("MODEL", options->model, "A .tflite file, or zoo:NAME[@SIZE]")->required();
  add_cut(*command, options->cut);
  command->get_option("--tpus")->required();
  add_format(*command, options->format);
  command->add_option("-o,--output", options->output, "Also write the plan as JSON to this file");
  command->callback([options] { run(*options); });
}

}  // namespace segue::cli
