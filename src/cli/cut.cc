#include <fmt/format.h>

#include <algorithm>

#include "cli/commands.h"
#include "segue/error.h"
#include "segue/optimal.h"
#include "segue/report.h"
#include "segue/segmentation.h"

namespace segue::cli {

void add_format(CLI::App& command, FormatOptions& options) {
  auto* json = command.add_flag("--json", options.json, "Print JSON");
  command.add_flag("--csv", options.csv, "Print the table as CSV")->excludes(json);
}

void add_cut(CLI::App& command, CutOptions& options) {
  command
      .add_option("--tpus", options.tpus,
                  "Number of Edge TPUs: one segment each, or for optimal the most it may use")
      ->check(CLI::Range(1, 1024));
  command
      .add_option("--strategy", options.strategy,
                  "balanced (default), optimal (stages and replicas, proven best in time), or "
                  "compiler (what edgetpu_compiler does)")
      ->check(CLI::IsMember({"balanced", "optimal", "compiler"}));
  command
      .add_option("--objective", options.objective,
                  "What optimal minimizes: throughput (default: time between results) or latency")
      ->check(CLI::IsMember({"throughput", "latency"}));
  command
      .add_option("--max-replicas", options.max_replicas,
                  "Most TPUs on one stage for optimal (default: no limit; 1: a pure pipeline)")
      ->check(CLI::Range(1, 1024));
  command.add_option("--device", options.device,
                     "Edge TPU to plan for: a name, or a device file (default edgetpu-pcie)");
}

void require_other_file(const std::string& model, const std::filesystem::path& output) {
  std::error_code absent;
  if (!std::filesystem::equivalent(model, output, absent)) return;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("{}: is the model itself; name another output", output.string()));
}

DeviceSpec device_of(const Plan& plan, const std::string& option) {
  if (!option.empty()) return open_device(option);
  try {
    return find_device(plan.device);
  } catch (const Error&) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("the plan was made for the device '{}', which is not in the catalogue; "
                            "give its device file with --device",
                            plan.device));
  }
}

namespace {

CutResult make_optimal_cut(const Graph& graph, const CutOptions& options, const DeviceSpec& device,
                           const Compiler& compiler) {
  const auto objective =
      options.objective == "latency" ? Objective::kLatency : Objective::kThroughput;
  OptimalSegmentation best =
      segment_optimal(graph, device, {options.tpus, options.max_replicas, objective});
  CutResult result;
  result.plan = make_plan(graph, best.segmentation, compiler, device, "optimal", best.replicas);
  result.plan.objective = options.objective;
  result.plan.bound = best.bound;
  result.segmentation = std::move(best.segmentation);
  return result;
}

}  // namespace

CutResult make_cut(const Graph& graph, const CutOptions& options) {
  if (options.strategy != "optimal" &&
      (options.max_replicas > 0 || options.objective != "throughput"))
    throw Error(ErrorCode::kInvalidArgument,
                "--objective and --max-replicas go with --strategy optimal");
  check_not_compiled(graph.model());
  const DeviceSpec device = open_device(options.device_or_default());
  const auto compiler = make_simulated_compiler(device);
  CutResult result;
  if (options.strategy == "optimal") return make_optimal_cut(graph, options, device, *compiler);
  if (options.strategy == "compiler") {
    result.segmentation = segment_as_vendor(graph, options.tpus);
  } else {
    BalancedSegmentation balanced = segment_balanced(graph, options.tpus, *compiler);
    result.refinement = refinement_text(balanced);
    result.segmentation = std::move(balanced.segmentation);
  }
  result.plan = make_plan(graph, result.segmentation, *compiler, device, options.strategy);
  return result;
}

}  // namespace segue::cli
