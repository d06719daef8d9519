#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <ranges>

#include "cli/commands.h"
#include "cli/libraries.h"
#include "cli/tpus.h"
#include "segue/error.h"
#include "segue/planner.h"
#include "segue/report.h"
#include "segue/runtime.h"
#include "segue/segmentation.h"
#include "segue/sweep.h"
#include "segue/toolchain.h"
#include "segue/units.h"

namespace segue::cli {

bool CutOptions::names_tpus() const {
  return !tpus.empty() || !topology.empty() || has_device_count(device);
}

namespace {

// Adds the goals of the plan, and the limits of --tpus auto.
void add_goals(CLI::App& command, CutOptions& options) {
  command.add_option("--target", options.target,
                     "Throughput that the plan must reach, in results per second");
  command.add_option(
      "--max-latency", options.max_latency,
      "Largest latency allowed for an input alone in the pipeline, for example 30ms or 0.5s");
  command
      .add_option("--min-gain", options.min_gain_percent,
                  "--tpus auto stops when one more TPU adds less throughput than this, in percent "
                  "(default 10)")
      ->check(CLI::Range(0.0, 1000.0));
  command
      .add_option("--max-tpus", options.max_tpus,
                  "Largest number of TPUs that --tpus auto tries (default 16)")
      ->check(CLI::Range(1, 64));
}

}  // namespace

std::vector<std::string> strategy_names() { return all_strategies(); }

namespace {

// "optimal (default: …), balanced (…), …"
std::string strategy_help() {
  std::string text;
  for (const StrategyRow& row : strategy_table() | std::views::reverse) {
    const bool is_default = row.key == CutOptions().strategy;
    text += fmt::format("{}{} ({}{})", text.empty() ? "" : ", ", row.key,
                        is_default ? "default: " : "", row.summary);
  }
  return text;
}

}  // namespace

void add_max_replicas(CLI::App& command, std::uint32_t& most) {
  command
      .add_option(
          "--max-replicas", most,
          "optimal: largest number of replicas of a stage (default: no limit; 1: no replication)")
      ->check(CLI::Range(std::uint32_t{1}, kMostDevices));
}

void add_cut(CLI::App& command, CutOptions& options) {
  command.add_option("--tpus", options.tpus,
                     "Number of Edge TPUs (one segment each; an upper limit for optimal), or auto: "
                     "the fewest that reach --target and --max-latency; without a goal, TPUs are "
                     "added while each adds at least --min-gain");
  command.add_option("--strategy", options.strategy, strategy_help())
      ->check(CLI::IsMember(strategy_names()));
  command
      .add_option(
          "--search", options.search,
          "profile: search method: exact (default), bisection (as in libcoral), or exhaustive")
      ->check(CLI::IsMember({"exact", "bisection", "exhaustive"}));
  command
      .add_option("--measure", options.measure,
                  "cpu: measure on this machine's cores; for profile, the latencies of segments; "
                  "for other strategies, the operators that the TPU does not support")
      ->check(CLI::IsMember({"cpu"}));
  command
      .add_option("--kernels", options.kernels,
                  "Kernels to measure with: builtin (default), or xnnpack")
      ->check(CLI::IsMember({"builtin", "xnnpack"}));
  add_compiler_command(command, options.compiler,
                       "balanced: refine the cuts until this edgetpu_compiler reports no off-chip "
                       "parameters; compiles at most 200 segments");
  command
      .add_option("--objective", options.objective,
                  "optimal: objective: throughput (default) or latency")
      ->check(CLI::IsMember({"throughput", "latency"}));
  add_max_replicas(command, options.max_replicas);
  command.add_option("--device", options.device,
                     "Edge TPU model to plan for: a name or a device file (default edgetpu-pcie); "
                     "suffix :shared: all on one link (default for USB); suffix :separate: one "
                     "link each; unequal devices: 2xedgetpu-usb3,2xedgetpu-pcie");
  command.add_option("--topology", options.topology,
                     "optimal: plan for all TPUs of several hosts; a file with hosts and links "
                     "(docs/cluster.md), instead of --tpus and --device");
  add_goals(command, options);
  add_decoding(command, options.decoding);
}

void refuse_cut_options(const CLI::App& command, const std::string& reason) {
  constexpr std::array kNames{"--measure",     "--kernels",   "--tpus",     "--strategy",
                              "--search",      "--objective", "--target",   "--max-replicas",
                              "--max-latency", "--min-gain",  "--max-tpus", "--compiler-cmd",
                              "--detect",      "--family",    "--topology"};
  refuse_options(command, kNames, reason);
}

std::vector<DevicePool> devices_of_plan(const Plan& plan, const std::string& option) {
  if (!option.empty()) return open_devices(option, plan.device_count());
  try {
    return open_devices(plan.devices, plan.device_count());
  } catch (const Error& error) {
    throw Error(error.code(),
                fmt::format("the plan was made for the device '{}': {} (pass its device file with "
                            "--device; for several devices, pass the whole list with their files)",
                            plan.device_text(), error.what()));
  }
}

void check_times_of(const Plan& plan, std::span<const DevicePool> pools) {
  if (names_of(pools) == plan.devices && device_count(pools) == plan.device_count()) return;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("--device: the times of the plan are for the device '{}', {} of them; "
                          "plan for others with `segue plan --device`",
                          plan.device_text(), plan.device_count()));
}

namespace {

[[noreturn]] void refuse(const char* reason) { throw Error(ErrorCode::kInvalidArgument, reason); }

// Checks options that only the command line has. check_request checks the rest.
void check_options(const CutOptions& options) {
  const bool is_auto = options.tpus == "auto";
  if (!options.topology.empty() && !(options.tpus.empty() && options.device.empty()))
    refuse("--topology has its own devices; remove --tpus and --device");
  if (!options.topology.empty() && !options.measure.empty())
    refuse("--measure applies to this host, but --topology has several; remove one of them");
  if (options.strategy != "profile" && !options.search.empty())
    refuse("--search requires --strategy profile");
  if (options.measure.empty() && options.kernels) refuse("--kernels requires --measure");
  if (options.min_gain_percent && (!options.target.empty() || !options.max_latency.empty()))
    refuse(
        "--min-gain applies only to --tpus auto without a goal; remove --target and --max-latency");
  if (!is_auto && (options.max_tpus || options.min_gain_percent))
    refuse("--max-tpus and --min-gain require --tpus auto");
  if (is_auto && has_device_count(options.device_or_default()))
    refuse("--tpus auto chooses the number of equal devices; name one device without a count");
  if (!options.names_tpus())
    refuse(
        "the number of TPUs is missing; pass --tpus N or --tpus auto, or count the devices, for "
        "example --device 2xedgetpu-usb3,2xedgetpu-pcie");
}

// Opens the devices. If requested, the times of operators on the host are measured.
std::vector<DevicePool> open_pools(const CutOptions& options) {
  const bool is_auto = options.tpus == "auto";
  const std::uint32_t tpus = is_auto                ? options.max_tpus.value_or(kMostAutoTpus)
                             : options.tpus.empty() ? 0
                                                    : parse_tpus(options.tpus);
  auto pools = open_devices(options.device_or_default(), tpus);
  if (!is_auto) check_counts_once(pools, options);
  return pools;
}

PlanRequest request_of(const Graph& graph, const CutOptions& options, const Compiler* compiler) {
  PlanRequest request;
  request.strategy = find_strategy(options.strategy);
  if (options.topology.empty()) {
    request.pools = open_pools(options);
  } else {
    request.topology = read_topology(options.topology);
  }
  request.decoding = decoding_of(graph.model(), options.decoding);
  request.limits.max_replicas = options.max_replicas;
  if (!options.objective.empty()) request.limits.objective = parse_objective(options.objective);
  if (!options.max_latency.empty()) request.limits.max_latency = parse_latency(options.max_latency);
  if (!options.target.empty()) request.least_throughput_per_s = parse_target(options.target);
  if (options.tpus == "auto")
    request.count = options.target.empty() && options.max_latency.empty() ? DeviceCount::kWorthIt
                                                                          : DeviceCount::kFewest;
  if (options.min_gain_percent) request.least_gain = *options.min_gain_percent / 100;
  if (!options.search.empty()) request.search = parse_profile_search(options.search);
  request.refines = compiler;
  if (!options.measure.empty()) {
    measure_for(request, graph,
                make_cpu_backend({.libraries = runtime_candidates(""),
                                  .kernels = parse_kernels(options.kernels.value_or("builtin"))}));
  }
  if (request.search == ProfileSearch::kExhaustive && request.count == DeviceCount::kAll) {
    print_note(
        fmt::format("exhaustive search over {} of cuts",
                    format_count(count_choices(graph.depth(), request.pools[0].count), "choice")));
  }
  return request;
}

}  // namespace

CutResult make_cut(const Graph& graph, const CutOptions& options) {
  check_options(options);
  std::unique_ptr<Compiler> compiler;
  if (!options.compiler.command.empty())
    compiler = make_edgetpu_compiler(std::filesystem::temp_directory_path(),
                                     edgetpu_compiler_options(options.compiler));
  const PlanRequest request = request_of(graph, options, compiler.get());
  PlanResult result = plan_model(graph, request);
  std::string notes = plan_notes(result, request, graph);
  return {std::move(result.plan), std::move(result.pools), std::move(notes)};
}

}  // namespace segue::cli
