#include <fmt/format.h>

#include <algorithm>

#include "model/internal/state.h"
#include "segue/error.h"
#include "segue/pipeline.h"
#include "segue/units.h"

namespace segue {
namespace {

void add_segment(PipelineLayout& layout, Model opened, std::uint32_t replicas) {
  const auto model = std::make_shared<const Model>(std::move(opened));
  if (replicas > 1 && keeps_state(*model)) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("{}: the segment keeps state between inputs, so it must run on one "
                            "device, not on {}; make a new plan with `segue plan`",
                            model->name(), replicas));
  }
  layout.segments.push_back({model->name(), model->bytes(), model, replicas});
}

}  // namespace

PipelineLayout pipeline_layout(const Model& model, const Plan& plan) {
  check_plan_matches(plan, model);
  PipelineLayout layout;
  for (const Stage& stage : plan.stages) {
    const std::string name =
        fmt::format("segment {} of {}", layout.segments.size(), plan.stages.size());
    add_segment(layout, parse_model(extract_segment(model, stage.operators).to_bytes(), name),
                stage.replicas);
  }
  for (const TensorId id : model.inputs()) layout.inputs.push_back(model.unique_name(id));
  for (const TensorId id : model.outputs()) layout.outputs.push_back(model.unique_name(id));
  return layout;
}

PipelineLayout pipeline_layout(std::span<const std::filesystem::path> files,
                               std::span<const std::uint32_t> replicas) {
  std::vector<Model> segments;
  segments.reserve(files.size());
  for (const auto& file : files) segments.push_back(read_model(file));
  return pipeline_layout(std::move(segments), replicas);
}

PipelineLayout pipeline_layout(std::vector<Model> segments,
                               std::span<const std::uint32_t> replicas) {
  if (!replicas.empty() && replicas.size() != segments.size()) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("{}, but replica counts for {}", format_count(segments.size(), "segment file"),
                    format_count(replicas.size(), "stage")));
  }
  PipelineLayout layout;
  for (std::size_t i = 0; i < segments.size(); ++i)
    add_segment(layout, std::move(segments[i]), replicas.empty() ? 1 : replicas[i]);
  return layout;
}

}  // namespace segue
