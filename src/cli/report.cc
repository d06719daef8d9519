#include "segue/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "cli/commands.h"
#include "cli/compared_plans.h"
#include "cli/experiments.h"
#include "cli/written.h"
#include "evaluation/paper/paper.h"
#include "segue/error.h"
#include "segue/file.h"
#include "segue/units.h"

namespace segue::cli {
namespace {

struct ReportArguments {
  std::string signature;
  std::string source;
  std::string model_of_plan;
  ComparisonOptions comparison;
  std::uint32_t shown_tpus = 0;
  std::string shown_strategy = "optimal";
  std::string run;
  std::uint64_t inputs = 15;
  std::string output = "report.html";
};

// Returns the smallest number of TPUs on which the strategy streams nothing, or else the largest
// number of TPUs compared.
std::uint32_t fewest_without_streaming(std::span<const ComparedPlan> plans,
                                       const std::string& strategy) {
  for (const ComparedPlan& row : plans) {
    if (row.plan.strategy_key() == strategy && row.plan.host_bytes() == 0) return row.tpus;
  }
  return plans.back().tpus;
}

std::size_t shown(std::span<const ComparedPlan> plans, const ReportArguments& options) {
  const std::uint32_t tpus = options.shown_tpus > 0
                                 ? options.shown_tpus
                                 : fewest_without_streaming(plans, options.shown_strategy);
  const auto found = std::ranges::find_if(plans, [&](const ComparedPlan& row) {
    return row.tpus == tpus && row.plan.strategy_key() == options.shown_strategy;
  });
  if (found != plans.end()) return static_cast<std::size_t>(found - plans.begin());
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("--show {} --strategy {}: no such plan within --tpus {}", tpus,
                          options.shown_strategy, options.comparison.tpus));
}

RunReport run_of(const Plan& plan, const std::string& path) {
  RunReport run = read_run(path);
  if (run.model == plan.model.name && run.measured.stages.size() == plan.stages.size()) return run;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("--run {}: the run is of {} in {}, but the plan is of {} in {}", path,
                          run.model, format_count(run.measured.stages.size(), "stage"),
                          plan.model.name, plan.stages.size()));
}

std::string page_of_plan(const CLI::App& command, const ReportArguments& options) {
  refuse_options(
      command, {{"--tpus", "--max-replicas", "--show", "--strategy", "--detect", "--family"}},
      "cannot be combined with a plan.json, which fixes the cuts and the TPUs; remove the option");
  if (options.model_of_plan.empty())
    throw Error(ErrorCode::kInvalidArgument, "a plan.json needs its model: --model MODEL");
  const Model model = open_noted(options.model_of_plan, options.signature);
  const Graph graph(model);
  const Plan read = read_plan(options.source);
  const auto pools = devices_of_plan(read, options.comparison.device);
  const ComparedPlan plan{read.device_count(), evaluate_plan(read, graph, pools)};
  std::optional<RunReport> run;
  if (!options.run.empty()) run = run_of(plan.plan, options.run);
  return plans_page({graph, {&plan, 1}, 0, pools, run, options.inputs});
}

std::string page_of_model(const ReportArguments& options) {
  if (!options.model_of_plan.empty() || !options.run.empty())
    throw Error(ErrorCode::kInvalidArgument, "--model and --run require a plan.json");
  const Model model = open_noted(options.source, options.signature);
  const Graph graph(model);
  const Comparison comparison = compare(graph, options.comparison);
  return plans_page({graph,
                     comparison.plans,
                     shown(comparison.plans, options),
                     {&comparison.pool, 1},
                     std::nullopt,
                     options.inputs});
}

std::string page_of_paper(const CLI::App& command) {
  refuse_options(command,
                 {{"--model", "--run", "--tpus", "--device", "--max-replicas", "--show",
                   "--strategy", "--inputs", "--signature", "--detect", "--family"}},
                 "not available for the paper's page");
  return paper_page(reproduce(experiment_names()));
}

std::string page_of(const CLI::App& command, const ReportArguments& options) {
  if (options.source == "paper") return page_of_paper(command);
  if (options.source.ends_with(".json")) return page_of_plan(command, options);
  return page_of_model(options);
}

void run(const CLI::App& command, const ReportArguments& options) {
  const std::string page = page_of(command, options);
  const BeforeWriting before({options.output});
  write_file(options.output, page);
  print_text(fmt::format("{} ({} KB): {}; open it in a browser\n", printable(options.output),
                         page.size() / 1000, before.change()));
}

}  // namespace

void add_report(CLI::App& app) {
  CLI::App* command = app.add_subcommand("report", "Write an HTML page with charts of plans");
  auto options = std::make_shared<ReportArguments>();
  command
      ->add_option(
          "MODEL", options->source,
          "A .tflite file, zoo:NAME[@SIZE], a plan.json, or `paper` (the page of `segue paper`)")
      ->required();
  command->add_option("--model", options->model_of_plan, "The model of a plan.json");
  command->add_option(
      "--run", options->run,
      "Output of `segue run --json` for the plan.json, shown next to the prediction");
  add_signature(*command, options->signature);
  add_comparison(*command, options->comparison);
  command
      ->add_option("--show", options->shown_tpus,
                   "Number of TPUs shown first (default: the fewest without off-chip parameters)")
      ->check(CLI::Range(std::uint32_t{1}, kMostDevices));
  command
      ->add_option("--strategy", options->shown_strategy, "Strategy shown first (default optimal)")
      ->check(CLI::IsMember(strategy_names()));
  command->add_option("--inputs", options->inputs, "Number of inputs in the timelines (default 15)")
      ->check(CLI::Range(1, 1000));
  add_output(*command, options->output,
             std::string("The file to write (default report.html)") + kReplaces);
  command->callback([command, options] { run(*command, *options); });
}

}  // namespace segue::cli
