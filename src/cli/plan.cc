#include <array>
#include <memory>
#include <vector>

#include "cli/commands.h"
#include "cli/set.h"
#include "cli/written.h"
#include "segue/error.h"
#include "segue/report.h"

namespace segue::cli {
namespace {

struct PlanArguments {
  std::string model;
  std::string signature;
  SetOptions set;
  CutOptions cut;
  FormatOptions format;
  std::string output;
  bool per_operator = false;
};

// Appends the plan that `make` returns, unless there is none.
template <typename Make>
void append_plan(std::vector<Plan>& plans, const Make& make) {
  try {
    plans.push_back(make());
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInfeasible && error.code() != ErrorCode::kUnsupported) throw;
  }
}

// Returns the plans of the other strategies on the same number of equal devices. Strategies without
// a plan are left out. The list is empty for unequal devices. On a topology, it has Google's cuts
// on its devices in order.
std::vector<Plan> other_plans(const Graph& graph, const CutResult& result) {
  std::vector<Plan> others;
  if (result.plan.network) {
    append_plan(others, [&] { return plan_in_order(graph, result.plan.network->topology); });
    return others;
  }
  if (result.pools.size() > 1) return others;
  std::vector<DevicePool> used = result.pools;
  used[0].count = result.plan.device_count();
  for (const StrategyRow& strategy : strategy_table()) {
    // Plans by "profile" are left out: they take seconds for large models and are never better than
    // the optimum.
    if (strategy.key == result.plan.strategy_key() || strategy.strategy == Strategy::kProfile)
      continue;
    append_plan(others, [&] {
      Plan plan = plan_by_strategy(graph, used, strategy).plan;
      const auto& decoding = result.plan.decoding;
      return decoding ? with_decoding(std::move(plan), decoding->work, used) : plan;
    });
  }
  return others;
}

std::string operators_of(const CutResult& result, const Graph& graph,
                         const PlanArguments& options) {
  if (result.plan.network)
    throw Error(ErrorCode::kInvalidArgument,
                "--operators cannot be combined with --topology: the time of an operator depends "
                "on the device");
  if (result.pools.size() > 1)
    throw Error(ErrorCode::kInvalidArgument,
                "--operators: the time of an operator depends on the device, and the plan uses "
                "several kinds; name one kind");
  const Table table = plan_operator_table(result.plan, graph, result.pools[0].device);
  return options.format.csv ? table.to_csv() : table.to_text(text_width());
}

// Options of one model's plan have no meaning for a set.
void run_set(const CLI::App& command, const PlanArguments& options) {
  constexpr std::array kOther{
      "MODEL",          "--signature",    "--strategy", "--search",      "--measure",  "--kernels",
      "--objective",    "--max-replicas", "--target",   "--max-latency", "--min-gain", "--max-tpus",
      "--compiler-cmd", "--operators",    "--detect",   "--family",      "--topology"};
  refuse_options(command, kOther, "cannot be combined with --models");
  plan_models(options.set, options.cut, options.format, options.output);
}

void run(const CLI::App& command, const PlanArguments& options) {
  if (options.model.empty())
    throw Error(ErrorCode::kInvalidArgument,
                "MODEL is missing; name a model, or several with --models");
  refuse_options(command, std::array{"--headroom"}, "requires --models");
  const Model model = open_noted(options.model, options.signature);
  const Graph graph(model);
  CutResult result = make_cut(graph, options.cut);
  if (options.format.json || !options.output.empty()) identify_model(result.plan, model);
  if (!options.output.empty()) write_noted(options.output, to_json(result.plan));
  if (options.format.json) return print(to_json(result.plan));
  if (options.per_operator) return print(operators_of(result, graph, options));
  if (options.format.csv) return print(plan_table(result.plan).to_csv());
  print_text(plan_text(result.plan, other_plans(graph, result), text_width()) + result.notes);
}

}  // namespace

void add_plan(CLI::App& app) {
  CLI::App* command = app.add_subcommand("plan", "Partition a model into segments for N Edge TPUs");
  auto options = std::make_shared<PlanArguments>();
  command->add_option("MODEL", options->model, "A .tflite file, or zoo:NAME[@SIZE]");
  add_signature(*command, options->signature);
  add_set(*command, options->set);
  add_cut(*command, options->cut);
  add_format(*command, options->format);
  command
      ->add_flag("--operators", options->per_operator,
                 "Print one row per operator instead of per stage, with the memory that holds its "
                 "parameters")
      ->excludes("--json");
  add_output(*command, options->output,
             std::string("Also write the plan as JSON to this file") + kReplaces);
  command->callback([command, options] {
    options->set.models.empty() ? run(*command, *options) : run_set(*command, *options);
  });
}

}  // namespace segue::cli
