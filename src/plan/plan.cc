#include "segue/plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "plan/compiled.h"
#include "plan/internal/network.h"
#include "plan/internal/prediction.h"
#include "segue/error.h"
#include "segue/units.h"

namespace segue {
namespace {

// A kind of device, and the compiler that decides where its parameters are stored.
struct Target {
  const DevicePool& pool;
  const Compiler& compiler;
};

Stage describe_operators(const Graph& graph, std::vector<OperatorId> operators) {
  const Model& model = graph.model();
  const SegmentBorder border = segment_border(model, operators);
  Stage stage;
  stage.first_depth = graph.depth();
  for (const OperatorId id : operators) {
    const OperatorStats& stats = graph.stats(id);
    stage.first_depth = std::min(stage.first_depth, stats.depth);
    stage.last_depth = std::max(stage.last_depth, stats.depth);
    stage.parameter_bytes += stats.parameter_bytes;
    stage.macs += stats.macs;
  }
  for (const TensorId id : border.inputs) {
    stage.inputs.push_back(model.unique_name(id));
    stage.input_bytes += model.tensor(id).bytes;
  }
  for (const TensorId id : border.outputs) {
    stage.outputs.push_back(model.unique_name(id));
    stage.output_bytes += model.tensor(id).bytes;
  }
  stage.operators = std::move(operators);
  return stage;
}

// The memory figures are those of the first kind of device that runs the stage.
Stage describe_stage(const Graph& graph, std::vector<OperatorId> operators,
                     std::span<const Target> targets, const PoolCounts& devices) {
  Stage stage = describe_operators(graph, std::move(operators));
  stage.replicas = 0;
  for (std::uint32_t pool = 0; pool < targets.size(); ++pool) {
    if (devices[pool] == 0) continue;
    const MemoryReport memory = targets[pool].compiler.compile(graph, stage.operators);
    const SegmentTime time =
        simulate_segment(graph, stage.operators, memory, targets[pool].pool.device);
    if (stage.replicas == 0) {
      stage.on_chip_bytes = memory.on_chip_bytes;
      stage.host_bytes = memory.host_bytes;
    }
    const DeviceSpec& device = targets[pool].pool.device;
    const auto range = device.model->range(graph, stage.operators, time, device, memory);
    if (stage.replicas == 0 || time.total() > stage.time.total()) {
      stage.time = time;
      stage.range = range;
    }
    stage.replicas += devices[pool];
    if (targets.size() > 1) stage.devices.push_back({pool, devices[pool], time, range});
  }
  return stage;
}

Nanoseconds whole_model_time(const Graph& graph, std::span<const Target> targets) {
  const auto operators = graph.operators_between(1, graph.depth());
  Nanoseconds fastest = Nanoseconds::max();
  for (const Target& target : targets) {
    const MemoryReport memory = target.compiler.compile(graph, operators);
    fastest =
        std::min(fastest, simulate_segment(graph, operators, memory, target.pool.device).total());
  }
  return fastest;
}

// Checks the positions by which stages name pools.
void check_pools(const Plan& plan, std::size_t pools) {
  for (std::size_t s = 0; s < plan.stages.size(); ++s) {
    const Stage& stage = plan.stages[s];
    if (stage.devices.empty() != (pools == 1)) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("stage {} {}; the devices consist of {}", s,
                              stage.devices.empty() ? "has no key \"devices\""
                                                    : "uses devices of several pools",
                              format_count(pools, "pool")));
    }
    for (const StageDevices& devices : stage.devices) {
      if (devices.pool < pools) continue;
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("stage {} uses pool {}; the devices consist of {}", s, devices.pool,
                              format_count(pools, "pool")));
    }
  }
}

void check_devices(std::span<const DevicePool> pools, std::span<const PoolCounts> devices) {
  std::vector<std::uint64_t> used(pools.size());
  for (std::size_t s = 0; s < devices.size(); ++s) {
    std::uint64_t count = 0;
    for (std::size_t pool = 0; pool < pools.size(); ++pool) {
      count += devices[s][pool];
      used[pool] += devices[s][pool];
    }
    if (count == 0)
      throw Error(ErrorCode::kInvalidArgument, fmt::format("stage {} has no device", s));
  }
  for (std::size_t pool = 0; pool < pools.size(); ++pool) {
    if (used[pool] <= pools[pool].count) continue;
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("the stages use {} of '{}', but the pool has {}",
                            format_count(used[pool], "device"), pools[pool].device.name,
                            pools[pool].count));
  }
}

Plan describe(const Graph& graph, const Segmentation& segmentation, std::span<const Target> targets,
              std::span<const DevicePool> pools, Strategy strategy,
              std::span<const PoolCounts> devices) {
  check_segmentation(graph, segmentation);
  check_devices(pools, devices);
  Plan plan;
  plan.model = {graph.model().name(),    "",           graph.operator_count(),
                graph.parameter_bytes(), graph.macs(), graph.depth()};
  std::vector<DevicePool> used(pools.begin(), pools.end());
  if (used.size() == 1) {
    used[0].count = 0;
    for (const PoolCounts& counts : devices) used[0].count += counts[0];
  }
  plan.devices = names_of(used);
  plan.strategy = strategy;
  for (std::size_t s = 0; s < segmentation.segments.size(); ++s) {
    std::vector<OperatorId> in_file_order = segmentation.segments[s];
    std::ranges::sort(in_file_order);
    plan.stages.push_back(describe_stage(graph, std::move(in_file_order), targets, devices[s]));
  }
  plan.predicted = predict(plan.stages, whole_model_time(graph, targets), pools);
  plan.measured_host = pools[0].device.host.measured;
  return plan;
}

// Whether all data that follow from the operators of the stages are equal.
bool same_stages(const Plan& a, const Plan& b) {
  return std::ranges::equal(a.stages, b.stages, [](const Stage& x, const Stage& y) {
    return x.first_depth == y.first_depth && x.last_depth == y.last_depth && x.inputs == y.inputs &&
           x.outputs == y.outputs && x.parameter_bytes == y.parameter_bytes && x.macs == y.macs &&
           x.time.total() == y.time.total();
  });
}

// Whether the plan's objective agrees with the bound.
bool belongs_to(const Bound& bound, const Plan& plan) {
  return bound.value <= objective_time(plan) && bound.is_proven == is_reached(bound, plan);
}

}  // namespace

std::string_view to_string(Strategy strategy) {
  const auto* const row = std::ranges::find(kStrategyNames, strategy, &StrategyName::strategy);
  return row == kStrategyNames.end() ? "custom" : row->key;
}

std::string Plan::strategy_key() const {
  return strategy == Strategy::kCustom ? custom_strategy : std::string(to_string(strategy));
}

std::string Plan::device_text() const { return to_string(devices); }

std::string_view to_string(Objective objective) {
  return objective == Objective::kLatency ? "latency" : "throughput";
}

Objective parse_objective(std::string_view text) {
  for (const Objective objective : {Objective::kThroughput, Objective::kLatency}) {
    if (to_string(objective) == text) return objective;
  }
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("unknown objective '{}' (expected throughput or latency)", text));
}

std::string broken_limit(const Plan& plan, const Bound& bound) {
  if (plan.device_count() > bound.devices)
    return fmt::format("the plan uses {}, but its bound is for {}",
                       format_count(plan.device_count(), "device"), bound.devices);
  for (const Stage& stage : plan.stages) {
    if (bound.max_replicas > 0 && stage.replicas > bound.max_replicas)
      return fmt::format("a stage has {} replicas, but its bound is for {}", stage.replicas,
                         bound.max_replicas);
  }
  if (bound.max_latency && plan.predicted.latency > *bound.max_latency)
    return fmt::format("the latency is {}, but its bound is for {}",
                       format_time(plan.predicted.latency), format_time(*bound.max_latency));
  return "";
}

Nanoseconds objective_time(const Plan& plan) {
  return plan.objective == Objective::kLatency ? plan.predicted.latency : plan.predicted.bottleneck;
}

bool is_reached(const Bound& bound, const Plan& plan) {
  return bound.value == objective_time(plan) && plan.host_operators() == 0;
}

void update_prediction(Plan& plan, std::span<const DevicePool> pools) {
  plan.predicted =
      predict(plan.stages, plan.predicted.single_device, pools, plan.decoding, plan.network);
}

std::vector<std::uint32_t> replicas_of(const Plan& plan) {
  std::vector<std::uint32_t> replicas;
  for (const Stage& stage : plan.stages) replicas.push_back(stage.replicas);
  return replicas;
}

std::uint32_t Plan::device_count() const {
  std::uint32_t count = 0;
  for (const Stage& stage : stages) count += stage.replicas;
  return count;
}

std::uint64_t Plan::host_bytes() const {
  std::uint64_t total = 0;
  for (const Stage& stage : stages) total += stage.host_bytes;
  return total;
}

std::uint32_t Plan::host_operators() const {
  std::uint32_t count = 0;
  for (const Stage& stage : stages) count += stage.time.host_operators;
  return count;
}

Nanoseconds Plan::host_time() const {
  Nanoseconds total{0};
  for (const Stage& stage : stages) total += stage.time.host;
  return total;
}

std::uint64_t Plan::largest_stage_parameter_bytes() const {
  const auto largest = std::ranges::max_element(stages, {}, &Stage::parameter_bytes);
  return largest == stages.end() ? 0 : largest->parameter_bytes;
}

Plan make_plan(const Graph& graph, const Segmentation& segmentation, const Compiler& compiler,
               const DeviceSpec& device, Strategy strategy,
               std::span<const std::uint32_t> replicas) {
  DevicePool pool{device, 0, false};
  std::vector<PoolCounts> devices;
  for (std::size_t s = 0; s < segmentation.segments.size(); ++s) {
    devices.push_back({replicas.empty() ? 1 : replicas[s]});
    pool.count += devices.back()[0];
  }
  const Target target{pool, compiler};
  return describe(graph, segmentation, std::span(&target, 1), std::span(&pool, 1), strategy,
                  devices);
}

Plan make_plan(const Graph& graph, const Segmentation& segmentation,
               std::span<const DevicePool> pools, Strategy strategy,
               std::span<const PoolCounts> devices) {
  std::vector<std::unique_ptr<Compiler>> compilers;
  std::vector<Target> targets;
  for (const DevicePool& pool : pools) {
    compilers.push_back(make_simulated_compiler(pool.device));
    targets.push_back({pool, *compilers.back()});
  }
  return describe(graph, segmentation, targets, pools, strategy, devices);
}

std::vector<PoolCounts> devices_of(const Plan& plan, std::size_t pools) {
  check_pools(plan, pools);
  std::vector<PoolCounts> result;
  for (const Stage& stage : plan.stages) {
    PoolCounts& counts = result.emplace_back(pools);
    for (const StageDevices& devices : devices_of(stage)) counts[devices.pool] += devices.replicas;
  }
  return result;
}

std::vector<DevicePool> with_measured_host(const Plan& plan, std::span<const DevicePool> pools) {
  std::vector<DevicePool> result(pools.begin(), pools.end());
  for (DevicePool& pool : result) pool.device.host.measured = plan.measured_host;
  return result;
}

Plan evaluate_plan(const Plan& plan, const Graph& graph, std::span<const DevicePool> named_pools) {
  const std::vector<DevicePool> pools = with_measured_host(plan, named_pools);
  check_plan_matches(plan, graph.model());
  check_static_shapes(graph.model());
  Plan result =
      make_plan(graph, segmentation_of(plan), pools, plan.strategy, devices_of(plan, pools.size()));
  result.model.sha256 = plan.model.sha256;
  result.objective = plan.objective;
  for (std::size_t s = 0; s < plan.stages.size(); ++s) {
    const Stage& stage = plan.stages[s];
    if (!is_as_compiled(stage, result.stages[s])) continue;
    adopt(result.stages[s],
          {stage.on_chip_bytes, stage.host_bytes, stage.compiled->compiler,
           stage.compiled->host_operators},
          graph, result.stages[s].operators, pools);
  }
  if (plan.decoding) result.decoding = decoding_on(plan.decoding->work, pools);
  if (plan.network)
    result.network =
        PlanNetwork{plan.network->topology, boundary_bytes(graph, segmentation_of(result))};
  update_prediction(result, pools);
  result.custom_strategy = plan.custom_strategy;
  // A bound is valid only with the predictions for which it was proven.
  const bool is_as_planned = same_stages(plan, result) &&
                             plan.predicted.bottleneck == result.predicted.bottleneck &&
                             plan.predicted.latency == result.predicted.latency;
  if (is_as_planned && (!plan.bound || (belongs_to(*plan.bound, result) &&
                                        broken_limit(result, *plan.bound).empty()))) {
    result.bound = plan.bound;
  } else {
    result.strategy = Strategy::kManual;
    result.custom_strategy.clear();
  }
  return result;
}

Segmentation segmentation_of(const Plan& plan) {
  Segmentation result;
  for (const Stage& stage : plan.stages) result.segments.push_back(stage.operators);
  return result;
}

void check_plan_consistent(const Plan& plan, std::span<const DevicePool> pools) {
  check_pools(plan, pools.size());
  const auto fail = [](const std::string& reason) {
    throw Error(ErrorCode::kInvalidArgument,
                reason +
                    "; a plan that was edited, or made by another version, needs its model "
                    "(--model) to recompute its numbers");
  };
  std::vector<OperatorId> operators;
  for (const Stage& stage : plan.stages)
    operators.insert(operators.end(), stage.operators.begin(), stage.operators.end());
  std::ranges::sort(operators);
  if (const auto twice = std::ranges::adjacent_find(operators); twice != operators.end())
    fail(fmt::format("operator {} is in two stages", index(*twice)));
  for (std::size_t i = 0; i < operators.size(); ++i) {
    if (index(operators[i]) == i) continue;
    fail(i < plan.model.operator_count
             ? fmt::format("operator {} is in no stage", i)
             : fmt::format("the model has no operator {}", index(operators[i])));
  }
  if (operators.size() != plan.model.operator_count) {
    fail(fmt::format("the stages have {} operators, but the model has {}", operators.size(),
                     plan.model.operator_count));
  }
  if (plan.bound && !belongs_to(*plan.bound, plan))
    fail("the bound does not match the predictions");
  const Prediction now =
      predict(plan.stages, plan.predicted.single_device, pools, plan.decoding, plan.network);
  if (now.bottleneck != plan.predicted.bottleneck || now.latency != plan.predicted.latency ||
      (plan.predicted.range && now.range != plan.predicted.range))
    fail("the predictions of the plan do not match the times of its stages");
}

}  // namespace segue
