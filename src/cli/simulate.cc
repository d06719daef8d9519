#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "cli/commands.h"
#include "cli/written.h"
#include "segue/error.h"
#include "segue/report.h"
#include "segue/timeline.h"

namespace segue::cli {
namespace {

struct SimulateArguments {
  std::string model;
  std::string signature;
  std::string model_of_plan;
  CutOptions cut;
  FormatOptions format;
  std::uint64_t inputs = 15;
  std::uint32_t queue = 2;
  std::vector<std::string> shared;
  std::string trace;
};

// Parses a list such as "0,1" of devices that share a link.
SharedLink parse_shared(const std::string& list) {
  SharedLink link;
  std::size_t begin = 0;
  while (begin <= list.size()) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    std::uint32_t device = 0;
    if (!CLI::detail::lexical_cast(list.substr(begin, end - begin), device) ||
        device >= kMostDevices || std::ranges::find(link.devices, device) != link.devices.end()) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("--share '{}': expected different device numbers separated by "
                              "commas, for example 0,1",
                              list));
    }
    link.devices.push_back(device);
    begin = end + 1;
  }
  if (link.devices.size() < 2)
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("--share '{}': a link is shared by at least two devices", list));
  return link;
}

// Whether the plan says which part of the output time is on the link. Files of version 1 do not say
// it.
bool knows_link(const Plan& plan) {
  return std::ranges::all_of(plan.stages, [](const Stage& stage) {
    return stage.time.output == Nanoseconds(0) || stage.time.output_on_link > Nanoseconds(0);
  });
}

Plan planned(const CLI::App& command, const SimulateArguments& options) {
  if (options.model.ends_with(".json")) {
    refuse_cut_options(command,
                       "cannot be combined with a plan.json, which fixes the cuts and the TPUs; "
                       "remove the option");
    Plan plan = read_plan(options.model);
    if (!options.model_of_plan.empty()) {
      const Model model = open_noted(options.model_of_plan, options.signature);
      return evaluate_plan(plan, Graph(model), devices_of_plan(plan, options.cut.device));
    }
    refuse_options(command, {{"--signature"}}, "requires a model");
    const auto pools = devices_of_plan(plan, options.cut.device);
    if (!options.cut.device.empty()) check_times_of(plan, pools);
    const bool shares = std::ranges::any_of(pools, &DevicePool::shares_link);
    if ((shares || !options.shared.empty()) && !knows_link(plan)) {
      throw Error(ErrorCode::kInvalidArgument,
                  "a plan.json of version 1 does not record the traffic on a shared link; pass the "
                  "model too (--model)");
    }
    check_plan_consistent(plan, pools);
    print_note("the times are those stored in " + options.model +
               "; pass --model to check that they still match the operators and the device");
    return plan;
  }
  if (!options.model_of_plan.empty())
    throw Error(ErrorCode::kInvalidArgument, "--model requires a plan.json");
  const Model model = open_noted(options.model, options.signature);
  const Graph graph(model);
  CutOptions cut = options.cut;
  if (!cut.names_tpus()) cut.tpus = "1";
  return make_cut(graph, cut).plan;
}

// A trace takes some 800 bytes in the file, and twice that in memory, for each input at each stage.
void check_trace(std::uint64_t inputs, std::size_t stages) {
  constexpr std::uint64_t kMostPassages = 500'000;
  if (inputs * stages <= kMostPassages) return;
  throw Error(
      ErrorCode::kInvalidArgument,
      fmt::format(
          "--trace: the trace of {} inputs through {} stages is too long; use at most {} inputs",
          inputs, stages, kMostPassages / stages));
}

void run(const CLI::App& command, const SimulateArguments& options) {
  const Plan plan = planned(command, options);
  const auto pools = devices_of_plan(plan, options.cut.device);
  const auto loads = stage_loads(plan);
  TimelineOptions timeline_settings = timeline_options(plan, pools);
  if (!timeline_settings.shared.empty() && !options.shared.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("--share: the devices of {} already share a link; plan for devices "
                            "with the suffix ':separate'",
                            plan.device_text()));
  }
  timeline_settings.inputs = options.inputs;
  timeline_settings.queue_capacity = options.queue;
  for (const std::string& list : options.shared)
    timeline_settings.shared.push_back(parse_shared(list));
  timeline_settings.records_events = !options.trace.empty();
  if (!options.trace.empty()) check_trace(options.inputs, loads.size());
  const Timeline timeline = simulate_timeline(loads, timeline_settings);
  if (!options.trace.empty()) write_noted(options.trace, trace_json(plan, timeline));
  if (options.format.json) return print(simulate_json(plan, timeline, timeline_settings));
  if (options.format.csv) return print(simulate_table(plan, timeline).to_csv());
  print_text(simulate_text(plan, timeline, timeline_settings, text_width()));
}

}  // namespace

void add_simulate(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("simulate", "Simulate a model on N Edge TPUs, stage by stage");
  auto options = std::make_shared<SimulateArguments>();
  command->add_option("MODEL", options->model, "A .tflite file, zoo:NAME[@SIZE], or a plan.json")
      ->required();
  command->add_option("--model", options->model_of_plan,
                      "The model of a plan.json, to recompute the times of an edited plan");
  add_signature(*command, options->signature);
  add_cut(*command, options->cut);
  CLI::Option* tpus = command->get_option("--tpus");
  tpus->description(tpus->get_description() + " (default 1)");
  command->add_option("--inputs", options->inputs, "Number of inputs in the batch (default 15)")
      ->check(CLI::Range(1, 1000000));
  command
      ->add_option("--queue", options->queue,
                   "Queue capacity between two stages (default 2; 0: unlimited)")
      ->check(CLI::Range(0, 1000000));
  command
      ->add_option("--share", options->shared,
                   "Devices that share a link, for example 0,1; can be given several times")
      ->allow_extra_args(false);
  command->add_option(
      "--trace", options->trace,
      std::string("Also write a trace of all TPUs to this file, for ui.perfetto.dev") + kReplaces);
  add_format(*command, options->format);
  command->callback([command, options] { run(*command, *options); });
}

}  // namespace segue::cli
