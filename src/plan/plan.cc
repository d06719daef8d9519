#include "segue/plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "segue/error.h"

namespace segue {
namespace {

Stage describe_stage(const Graph& graph, std::vector<OperatorId> operators,
                     const Compiler& compiler) {
  const Model& model = graph.model();
  const SegmentBorder border = segment_border(model, operators);
  const auto memory = compiler.totals(graph, operators);
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
  stage.operators = std::move(operators);
  return stage;
}

}  // namespace

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
               const std::string& device, const std::string& strategy) {
  check_segmentation(graph, segmentation);
  Plan plan;
  plan.model = {graph.model().name(),    "",           graph.operator_count(),
                graph.parameter_bytes(), graph.macs(), graph.depth()};
  plan.device = device;
  plan.strategy = strategy;
  for (const auto& operators : segmentation.segments) {
    std::vector<OperatorId> in_file_order = operators;
    std::ranges::sort(in_file_order);
    plan.stages.push_back(describe_stage(graph, std::move(in_file_order), compiler));
  }
  return plan;
}

void identify_model(Plan& plan, const Model& model) { plan.model.sha256 = sha256(model.bytes()); }

Segmentation segmentation_of(const Plan& plan) {
  Segmentation result;
  for (const Stage& stage : plan.stages) result.segments.push_back(stage.operators);
  return result;
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
