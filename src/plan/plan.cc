#include "segue/plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "segue/error.h"

namespace segue {
namespace {

Stage describe_stage(const Graph& graph, std::vector<OperatorId> operators,
                     const Compiler& compiler, const DeviceSpec& device) {
  const Model& model = graph.model();
  const SegmentBorder border = segment_border(model, operators);
  const MemoryReport memory = compiler.compile(graph, operators);
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
  stage.on_chip_bytes = memory.on_chip_bytes;
  stage.host_bytes = memory.host_bytes;
  stage.time = simulate_segment(graph, operators, memory, device);
  stage.operators = std::move(operators);
  return stage;
}

Nanoseconds whole_model_time(const Graph& graph, const Compiler& compiler,
                             const DeviceSpec& device) {
  const auto operators = graph.operators_between(1, graph.depth());
  return simulate_segment(graph, operators, compiler.compile(graph, operators), device).total();
}

// One stage on one device is a plain inference; everything else goes through a runner on the host,
// which spends its hop on every input at every stage, one after another.
Prediction predict(std::span<const Stage> stages, Nanoseconds single_device, const Timing& timing) {
  const bool has_runner = stages.size() > 1 || stages[0].replicas > 1;
  const Nanoseconds hop = has_runner ? runner_hop(timing) : Nanoseconds(0);
  Prediction result;
  result.single_device = single_device;
  result.bottleneck = hop * static_cast<std::int64_t>(stages.size());
  for (const Stage& stage : stages) {
    result.bottleneck = std::max(result.bottleneck, stage.time.total() / stage.replicas);
    result.latency += stage.time.total() + hop;
  }
  if (result.bottleneck.count() > 0) {
    result.throughput_per_s = 1 / to_s(result.bottleneck);
    result.speedup = to_s(single_device) / to_s(result.bottleneck);
  }
  return result;
}

// Whether everything that follows from the operators of the stages is the same.
bool same_stages(const Plan& a, const Plan& b) {
  return std::ranges::equal(a.stages, b.stages, [](const Stage& x, const Stage& y) {
    return x.first_depth == y.first_depth && x.last_depth == y.last_depth && x.inputs == y.inputs &&
           x.outputs == y.outputs && x.parameter_bytes == y.parameter_bytes && x.macs == y.macs &&
           x.time.total() == y.time.total();
  });
}

}  // namespace

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

std::uint64_t Plan::largest_stage_parameter_bytes() const {
  std::uint64_t largest = 0;
  for (const Stage& stage : stages) largest = std::max(largest, stage.parameter_bytes);
  return largest;
}

Plan make_plan(const Graph& graph, const Segmentation& segmentation, const Compiler& compiler,
               const DeviceSpec& device, const std::string& strategy,
               std::span<const std::uint32_t> replicas) {
  check_segmentation(graph, segmentation);
  Plan plan;
  plan.model = {graph.model().name(),    "",           graph.operator_count(),
                graph.parameter_bytes(), graph.macs(), graph.depth()};
  plan.device = device.name;
  plan.strategy = strategy;
  for (const auto& operators : segmentation.segments) {
    std::vector<OperatorId> in_file_order = operators;
    std::ranges::sort(in_file_order);
    plan.stages.push_back(describe_stage(graph, std::move(in_file_order), compiler, device));
    if (!replicas.empty()) plan.stages.back().replicas = replicas[plan.stages.size() - 1];
  }
  plan.predicted = predict(plan.stages, whole_model_time(graph, compiler, device), device.timing);
  return plan;
}

Plan evaluate_plan(const Plan& plan, const Graph& graph, const Compiler& compiler,
                   const DeviceSpec& device) {
  check_plan_matches(plan, graph.model());
  std::vector<std::uint32_t> replicas;
  for (const Stage& stage : plan.stages) replicas.push_back(stage.replicas);
  Plan result = make_plan(graph, segmentation_of(plan), compiler, device, plan.strategy, replicas);
  result.model.sha256 = plan.model.sha256;
  result.objective = plan.objective;
  // A bound is worth something only with the predictions it was proven for.
  const bool is_as_planned = same_stages(plan, result) &&
                             plan.predicted.bottleneck == result.predicted.bottleneck &&
                             plan.predicted.latency == result.predicted.latency;
  if (is_as_planned) {
    result.bound = plan.bound;
  } else {
    result.strategy = "manual";
  }
  return result;
}

void identify_model(Plan& plan, const Model& model) { plan.model.sha256 = sha256(model.bytes()); }

Segmentation segmentation_of(const Plan& plan) {
  Segmentation result;
  for (const Stage& stage : plan.stages) result.segments.push_back(stage.operators);
  return result;
}

void check_plan_consistent(const Plan& plan, const DeviceSpec& device) {
  const auto fail = [](const std::string& reason) {
    throw Error(ErrorCode::kInvalidArgument,
                reason + "; an edited plan needs its model (--model) to be computed anew");
  };
  std::vector<OperatorId> operators;
  for (const Stage& stage : plan.stages)
    operators.insert(operators.end(), stage.operators.begin(), stage.operators.end());
  std::ranges::sort(operators);
  for (std::size_t i = 0; i < operators.size(); ++i) {
    if (index(operators[i]) != i) fail(fmt::format("operator {} is not in exactly one stage", i));
  }
  if (operators.size() != plan.model.operator_count) {
    fail(fmt::format("the stages hold {} operators, the model {}", operators.size(),
                     plan.model.operator_count));
  }
  const Nanoseconds reached =
      plan.objective == "latency" ? plan.predicted.latency : plan.predicted.bottleneck;
  if (plan.bound &&
      (plan.bound->value > reached || plan.bound->is_proven != (plan.bound->value == reached)))
    fail("the bound does not belong to the predictions");
  const Prediction now = predict(plan.stages, plan.predicted.single_device, device.timing);
  if (now.bottleneck != plan.predicted.bottleneck || now.latency != plan.predicted.latency)
    fail("the predictions of the plan do not follow from the times of its stages");
}

void check_plan_matches(const Plan& plan, const Model& model) {
  const std::string actual = sha256(model.bytes());
  if (plan.model.sha256 == actual) return;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("the plan was made for model '{}' (sha256 {:.12}…), not for '{}' (sha256 "
                          "{:.12}…); make a "
                          "new plan with `segue plan`",
                          plan.model.name, plan.model.sha256, model.name(), actual));
}

}  // namespace segue
