#include <fmt/format.h>

#include <algorithm>

#include "segue/error.h"
#include "segue/pipeline.h"

namespace segue {
namespace {

// What keeps values from input to input cannot share its inputs with another device.
void check_replicas(const PipelineSegment& segment, const Model& model) {
  if (segment.replicas == 1 ||
      std::ranges::none_of(model.tensors(), [](const Tensor& t) { return t.is_variable; }))
    return;
  throw Error(ErrorCode::kUnsupported,
              fmt::format("{}: keeps values from one input to the next, so it runs on one device, "
                          "not on {}; plan with --max-replicas 1",
                          segment.name, segment.replicas));
}

}  // namespace

PipelineLayout pipeline_layout(const Model& model, const Plan& plan) {
  check_plan_matches(plan, model);
  PipelineLayout layout;
  for (const Stage& stage : plan.stages) {
    const auto bytes = std::make_shared<const std::vector<std::byte>>(
        extract_segment(model, stage.operators).to_bytes());
    layout.segments.push_back(
        {fmt::format("segment {} of {}", layout.segments.size(), plan.stages.size()), *bytes, bytes,
         stage.replicas});
    if (stage.replicas > 1)
      check_replicas(layout.segments.back(), parse_model(*bytes, layout.segments.back().name));
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
    check_replicas(layout.segments.back(), *model);
  }
  return layout;
}

}  // namespace segue
