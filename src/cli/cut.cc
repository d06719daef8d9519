#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <thread>

#include "cli/commands.h"
#include "cli/libraries.h"
#include "cli/tpus.h"
#include "segue/error.h"
#include "segue/planner.h"
#include "segue/report.h"
#include "segue/runtime.h"
#include "segue/segmentation.h"
#include "segue/toolchain.h"
#include "segue/units.h"

namespace segue::cli {

bool CutOptions::names_tpus() const { return !tpus.empty() || has_device_count(device); }

namespace {

// What the plan must reach, and how many TPUs may be spent on it.
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
      ->check(CLI::Range(0.0, 1000.0))
      ->check([](const std::string& text) {
        return text.find_first_of("nN") == std::string::npos ? "" : "is not a percentage";
      });
  command
      .add_option("--max-tpus", options.max_tpus,
                  "Largest number of TPUs that --tpus auto tries (default 16)")
      ->check(CLI::Range(1, 64));
}

}  // namespace

std::vector<std::string> strategy_names() {
  std::vector<std::string> names;
  names.reserve(std::size(kStrategies));
  for (const Strategy strategy : kStrategies) names.emplace_back(to_string(strategy));
  return names;
}

void add_max_replicas(CLI::App& command, std::uint32_t& most) {
  command
      .add_option(
          "--max-replicas", most,
          "optimal: largest number of replicas of a stage (default: no limit; 1: no replication)")
      ->check(CLI::Range(1, 1024));
}

void add_cut(CLI::App& command, CutOptions& options) {
  command.add_option("--tpus", options.tpus,
                     "Number of Edge TPUs (one segment each; an upper limit for optimal), or auto: "
                     "the fewest that reach --target and --max-latency; without a goal, TPUs are "
                     "added while each adds at least --min-gain");
  command
      .add_option("--strategy", options.strategy,
                  "optimal (default: stages and replicas with the best objective, with a proven "
                  "bound), balanced (Segm_Balanced of the paper), profile (best horizontal cuts by "
                  "profiled times), or compiler (the cuts of edgetpu_compiler --num_segments, "
                  "which itself crashes on models of current converters)")
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
  add_goals(command, options);
}

void refuse_cut_options(const CLI::App& command, const std::string& reason) {
  constexpr std::array kNames{"--measure",     "--kernels",   "--tpus",         "--strategy",
                              "--search",      "--objective", "--max-replicas", "--target",
                              "--max-latency", "--min-gain",  "--max-tpus",     "--compiler-cmd"};
  refuse_options(command, kNames, reason);
}

std::vector<DevicePool> devices_of_plan(const Plan& plan, const std::string& option) {
  if (!option.empty()) return open_devices(option, plan.device_count());
  try {
    return open_devices(plan.device, plan.device_count());
  } catch (const Error& error) {
    throw Error(error.code(),
                fmt::format("the plan was made for the device '{}': {} (pass its device file with "
                            "--device; for several devices, pass the whole list with their files)",
                            plan.device, error.what()));
  }
}

namespace {

OptimalOptions optimal_options(const CutOptions& options) {
  OptimalOptions result;
  result.max_replicas = options.max_replicas;
  if (!options.objective.empty()) result.objective = parse_objective(options.objective);
  if (!options.max_latency.empty()) result.max_latency = parse_latency(options.max_latency);
  return result;
}

// The other stages will keep their cores busy, as far as there are so many.
SegmentLatency cpu_latency(const Graph& graph, const CutOptions& options, std::uint32_t count) {
  MeasureOptions how;
  how.busy_cores = std::min(count, std::max(std::thread::hardware_concurrency(), 1U)) - 1;
  return measured_latency(graph,
                          make_cpu_backend({.libraries = runtime_candidates(""),
                                            .kernels = kernels_of(options.kernels)}),
                          how);
}

// Searches of `profile` that only commands ask for: by measured times, or by other procedures.
ProfiledSegmentation search_profile(const Graph& graph, const CutOptions& options,
                                    const DevicePool& pool) {
  const SegmentLatency measured =
      options.measure.empty() ? nullptr : cpu_latency(graph, options, pool.count);
  if (options.search == "bisection") {
    Profile operators = Profile::of_vendor_order(
        graph, measured ? measured : simulated_latency(graph, pool.device));
    return segment_by_bisection(operators, vendor_ends(graph, pool.count));
  }
  Profile depths =
      measured ? Profile::of_depths(graph, measured) : Profile::simulated(graph, pool.device);
  if (options.search != "exhaustive") return segment_profiled(depths, pool.count);
  print_note(fmt::format("exhaustive search over {} of cuts",
                         format_count(count_choices(graph.depth(), pool.count), "choice")));
  return segment_by_exhaustion(depths, pool.count);
}

std::string profile_notes(const Graph& graph, const CutOptions& options, std::uint32_t count,
                          const ProfiledSegmentation& profiled) {
  const char* kind = options.measure.empty() ? "simulated" : "measured";
  std::string notes =
      options.search == "bisection"
          ? fmt::format("Profile: {} {}, in the operator order of Google's compiler.\n",
                        format_count(profiled.measurements, "latency"), kind)
          : profile_text(profiled, graph.depth(), count, kind);
  if (!options.measure.empty()) {
    notes += fmt::format("The slowest segment takes {} on one core (measured).\n",
                         format_time(profiled.slowest));
  }
  return notes;
}

CutResult cut_by_profile(const Graph& graph, const CutOptions& options,
                         std::span<const DevicePool> pools) {
  const ProfiledSegmentation profiled = search_profile(graph, options, pools[0]);
  const std::vector<PoolCounts> devices(profiled.segmentation.segments.size(), PoolCounts{1});
  return {make_plan(graph, profiled.segmentation, pools, parse_strategy(options.strategy), devices),
          profile_notes(graph, options, pools[0].count, profiled)};
}

// Cuts of the simulated compiler, mended until Google's says that nothing streams.
CutResult refine_by_compiler(const Graph& graph, const CutOptions& options,
                             std::span<const DevicePool> pools,
                             const BalancedSegmentation& simulated) {
  constexpr std::uint64_t kMostQuestions = 200;
  const auto compiler = make_edgetpu_compiler(std::filesystem::temp_directory_path(),
                                              edgetpu_compiler_options(options.compiler));
  const auto balanced = refine_balanced(graph, simulated, *compiler, kMostQuestions);
  std::vector<CompiledMemory> memory;
  for (const auto& segment : balanced.segmentation.segments) {
    const MemoryReport report = compiler->compile(graph, segment);
    memory.push_back(
        {report.on_chip_bytes, report.host_bytes, report.compiler, report.host_operators});
  }
  const std::vector<PoolCounts> devices(memory.size(), PoolCounts{1});
  const Plan plan =
      make_plan(graph, balanced.segmentation, pools, parse_strategy(options.strategy), devices);
  return {with_compiled_memory(plan, graph, memory, pools),
          refinement_text(balanced) +
              fmt::format("Memory sizes are those reported by edgetpu_compiler {}.\n",
                          memory[0].compiler)};
}

void check_options(const CutOptions& options) {
  const auto fail = [](const char* reason) { throw Error(ErrorCode::kInvalidArgument, reason); };
  if (options.strategy != "optimal" && (options.max_replicas > 0 || !options.objective.empty()))
    fail("--objective and --max-replicas require --strategy optimal");
  if (options.strategy != "profile" && !options.search.empty())
    fail("--search requires --strategy profile");
  if (options.strategy != "balanced" && !options.compiler.command.empty())
    fail("--compiler-cmd requires --strategy balanced");
  if (options.measure.empty() && !options.kernels.empty()) fail("--kernels requires --measure");
  if (options.objective == "latency" && !options.target.empty())
    fail(
        "--target is a throughput; remove --objective latency, and limit the latency with "
        "--max-latency");
  if (options.objective == "latency" && options.tpus == "auto")
    fail("--tpus auto optimizes throughput; remove --objective latency");
  if (options.min_gain_percent && (!options.target.empty() || !options.max_latency.empty()))
    fail(
        "--min-gain applies only to --tpus auto without a goal; remove --target and --max-latency");
  if (options.tpus != "auto" && (options.max_tpus || options.min_gain_percent))
    fail("--max-tpus and --min-gain require --tpus auto");
}

// The devices, with the host's part as measured where that is asked for.
std::vector<DevicePool> open_pools(const CutOptions& options, std::uint32_t tpus) {
  std::vector<DevicePool> pools = open_devices(options.device_or_default(), tpus);
  for (DevicePool& pool : pools) pool.device.host.measured = options.measured_host;
  return pools;
}

CutResult cut_on(const Graph& graph, const CutOptions& options, std::span<const DevicePool> pools) {
  const bool is_profile = options.strategy == "profile";
  if (is_profile && pools.size() == 1 && (!options.search.empty() || !options.measure.empty()))
    return cut_by_profile(graph, options, pools);
  StrategyPlan made =
      plan_by_strategy(graph, pools, parse_strategy(options.strategy), optimal_options(options));
  if (!options.compiler.command.empty())
    return refine_by_compiler(graph, options, pools, *made.balanced);
  CutResult result{std::move(made.plan), ""};
  if (made.balanced) result.notes = refinement_text(*made.balanced);
  if (made.profiled) result.notes = profile_notes(graph, options, pools[0].count, *made.profiled);
  return result;
}

}  // namespace

CutResult make_cut_for(const Graph& graph, const CutOptions& options, std::uint32_t tpus) {
  check_options(options);
  check_can_be_planned(graph.model());
  return cut_on(graph, options, open_pools(options, tpus));
}

CutResult make_cut(const Graph& graph, CutOptions options) {
  check_options(options);
  check_can_be_planned(graph.model());
  // Once, so that all plans of a command have the same times.
  if (!options.measure.empty()) {
    const auto backend = make_cpu_backend(
        {.libraries = runtime_candidates(""), .kernels = kernels_of(options.kernels)});
    options.measured_host = measured_host({}, graph, *backend).measured;
  }
  if (options.tpus == "auto") {
    CutResult result = choose_tpus(graph, options);
    result.notes += shared_link_note(result.plan, devices_of_plan(result.plan, options.device));
    return result;
  }
  if (!options.names_tpus()) {
    throw Error(ErrorCode::kInvalidArgument,
                "the number of TPUs is missing; pass --tpus N or --tpus auto, or count the "
                "devices, for example --device 2xedgetpu-usb3,2xedgetpu-pcie");
  }
  const std::uint32_t tpus = options.tpus.empty() ? 0 : parse_tpus(options.tpus);
  const auto pools = open_pools(options, tpus);
  check_counts_once(pools, options);
  CutResult result = cut_on(graph, options, pools);
  check_goals(result.plan, options);
  result.notes += shared_link_note(result.plan, pools);
  return result;
}

}  // namespace segue::cli
