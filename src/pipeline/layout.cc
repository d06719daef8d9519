#include <fmt/format.h>

#include "segue/error.h"
#include "segue/pipeline.h"

namespace segue {

PipelineLayout pipeline_layout(const Model& model, const Plan& plan) {
  check_plan_matches(plan, model);
  PipelineLayout layout;
  for (const Stage& stage : plan.stages) {
    const auto bytes = std::make_shared<const std::vector<std::byte>>(
        extract_segment(model, stage.operators).to_bytes());
    layout.segments.push_back(
        {fmt::format("segment {} of {}", layout.segments.size(), plan.stages.size()), *bytes, bytes,
         stage.replicas});
  }
  for (const TensorId id : model.inputs()) layout.inputs.push_back(model.unique_name(id));
  for (const TensorId id : model.outputs()) layout.outputs.push_back(model.unique_name(id));
  return layout;
}

PipelineLayout pipeline_layout(std::span<const std::filesystem::path> files,
                               std::span<const std::uint32_t> replicas) {
  if (!replicas.empty() && replicas.size() != files.size()) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("{} segment files, but devices for {} stages", files.size(), replicas.size()));
  }
  PipelineLayout layout;
  for (const auto& file : files) {
    const auto model = std::make_shared<const Model>(read_model(file));
    layout.segments.push_back({model->name(), model->bytes(), model,
                               replicas.empty() ? 1 : replicas[layout.segments.size()]});
  }
  return layout;
}

}  // namespace segue
