#include "plan/compiled.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "plan/internal/prediction.h"
#include "segue/error.h"
#include "segue/units.h"

namespace segue {
namespace {

// Returns the largest rounding error of a byte count that a compiler prints with two decimals of
// its unit.
std::uint64_t rounding_of(std::uint64_t bytes) {
  if (bytes < kKiB) return 1;
  return (bytes < kMiB ? kKiB : kMiB) / 200 + 1;
}

// Returns the memory of a segment for which a compiler reports only totals. If the simulated
// compiler has the same totals, up to the rounding of the log, its report also says which operators
// stream. Otherwise that is unknown, and all bytes are assumed to cross the link once.
MemoryReport report_of(const CompiledMemory& memory, const Graph& graph,
                       std::span<const OperatorId> operators, const DeviceSpec& device) {
  std::vector<OperatorId> on_device;
  std::ranges::set_difference(operators, memory.host_operators.value_or(std::vector<OperatorId>{}),
                              std::back_inserter(on_device));
  MemoryReport report = make_simulated_compiler(device)->compile(graph, on_device);
  const auto [less, more] = std::minmax(report.host_bytes, memory.host_bytes);
  if (more - less > rounding_of(memory.host_bytes))
    report = {memory.on_chip_bytes, memory.host_bytes, report.capacity_bytes, {}, memory.compiler};
  report.host_operators = memory.host_operators;
  return report;
}

// Returns the positions of operators in the whole model. `operators` are the stage's operators in a
// graph of the stage alone or of the whole model; only those in `chosen` are returned.
std::vector<OperatorId> in_whole_model(const Stage& stage, std::span<const OperatorId> operators,
                                       std::span<const OperatorId> chosen) {
  std::vector<OperatorId> result;
  for (std::size_t i = 0; i < std::min(operators.size(), stage.operators.size()); ++i) {
    if (std::ranges::binary_search(chosen, operators[i])) result.push_back(stage.operators[i]);
  }
  return result;
}

// Returns the devices with the plan's measured times. The operators of the stage have their
// positions in its segment.
std::vector<DevicePool> with_measured_host(const Plan& plan, const Stage& stage,
                                           std::span<const DevicePool> pools) {
  Plan of_segment;
  for (std::size_t i = 0; i < stage.operators.size(); ++i) {
    const auto measured = plan.measured_host.find(static_cast<std::uint32_t>(stage.operators[i]));
    if (measured != plan.measured_host.end())
      of_segment.measured_host.emplace(static_cast<std::uint32_t>(i), measured->second);
  }
  return segue::with_measured_host(of_segment, pools);
}

}  // namespace

void adopt(Stage& stage, const CompiledMemory& memory, const Graph& graph,
           std::span<const OperatorId> operators, std::span<const DevicePool> pools) {
  // If the stage is compiled again, the simulated figures are already there.
  if (!stage.compiled)
    stage.compiled = CompiledStage{memory.compiler, stage.on_chip_bytes, stage.host_bytes};
  stage.compiled->compiler = memory.compiler;
  stage.compiled->host_operators.reset();
  if (memory.host_operators)
    stage.compiled->host_operators = in_whole_model(stage, operators, *memory.host_operators);
  stage.on_chip_bytes = memory.on_chip_bytes;
  stage.host_bytes = memory.host_bytes;
  std::vector<StageDevices> devices = devices_of(stage);
  stage.time = {};
  for (StageDevices& kind : devices) {
    const DeviceSpec& device = pools[kind.pool].device;
    const MemoryReport report = report_of(memory, graph, operators, device);
    kind.time = simulate_segment(graph, operators, report, device);
    kind.range = device.model->range(graph, operators, kind.time, device, report);
    if (kind.time.total() <= stage.time.total()) continue;
    stage.time = kind.time;
    stage.range = kind.range;
  }
  if (!stage.devices.empty()) stage.devices = std::move(devices);
}

bool is_as_compiled(const Stage& in_file, const Stage& now) {
  return in_file.compiled && in_file.inputs == now.inputs && in_file.outputs == now.outputs &&
         in_file.parameter_bytes == now.parameter_bytes && in_file.macs == now.macs &&
         std::ranges::includes(
             now.operators, in_file.compiled->host_operators.value_or(std::vector<OperatorId>{}));
}

namespace {

// `adopt_stage` takes over the compiler's report for one stage, given its position.
template <typename AdoptStage>
Plan with_adopted_stages(const Plan& plan, std::span<const CompiledMemory> memory,
                         std::span<const DevicePool> pools, const AdoptStage& adopt_stage) {
  (void)devices_of(plan, pools.size());
  if (memory.size() != plan.stages.size()) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("{} of a compiler for a plan with {}", format_count(memory.size(), "report"),
                    format_count(plan.stages.size(), "stage")));
  }
  Plan result = plan;
  for (std::size_t s = 0; s < memory.size(); ++s) adopt_stage(result.stages[s], s);
  result.predicted =
      predict(result.stages, plan.predicted.single_device, pools, plan.decoding, plan.network);
  if (result.predicted.bottleneck != plan.predicted.bottleneck ||
      result.predicted.latency != plan.predicted.latency)
    result.bound.reset();
  return result;
}

}  // namespace

Plan with_compiled_memory(const Plan& plan, std::span<const Model> segments,
                          std::span<const CompiledMemory> memory,
                          std::span<const DevicePool> pools) {
  if (segments.size() != plan.stages.size()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} for a plan with {}", format_count(segments.size(), "segment"),
                            format_count(plan.stages.size(), "stage")));
  }
  return with_adopted_stages(plan, memory, pools, [&](Stage& stage, std::size_t s) {
    const Graph graph(segments[s]);
    const auto measured = with_measured_host(plan, stage, pools);
    adopt(stage, memory[s], graph, graph.operators_between(1, graph.depth()), measured);
  });
}

Plan with_compiled_memory(const Plan& plan, const Graph& graph,
                          std::span<const CompiledMemory> memory,
                          std::span<const DevicePool> pools) {
  const std::vector<DevicePool> measured = with_measured_host(plan, pools);
  return with_adopted_stages(plan, memory, measured, [&](Stage& stage, std::size_t s) {
    adopt(stage, memory[s], graph, stage.operators, measured);
  });
}

}  // namespace segue
