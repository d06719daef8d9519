#include "split/plan_check.h"

#include <algorithm>
#include <string>

#include "base/internal/json/node.h"
#include "segue/graph.h"
#include "segue/units.h"
#include "split/mismatch.h"

namespace segue {
namespace {

// `owner`: for example "the model" or "stage 2".
void check_number(const std::string& owner, const char* what, std::uint64_t planned,
                  std::uint64_t actual) {
  if (planned != actual)
    differ("plan.json: {} of {}: {}, but {} in the files", what, owner, planned, actual);
}

void check_names(const std::string& owner, const char* what,
                 const std::vector<std::string>& planned, const Model& segment,
                 std::span<const TensorId> tensors) {
  if (!are_named(segment, tensors, planned))
    differ("plan.json: {} of {} do not match the segment", what, owner);
}

std::uint64_t value_bytes(const Model& model, std::span<const TensorId> tensors) {
  std::uint64_t bytes = 0;
  for (const TensorId id : tensors) bytes += model.tensor(id).bytes;
  return bytes;
}

void check_operators(std::size_t s, const Stage& stage, const Homes& homes) {
  for (const OperatorId id : stage.operators) {
    if (index(id) >= homes.size() || homes[index(id)] != s)
      differ("plan.json: operator {} is not in segment {}", index(id), s);
  }
  std::vector<OperatorId> planned = stage.operators;
  std::ranges::sort(planned);
  if (const auto twice = std::ranges::adjacent_find(planned); twice != planned.end())
    differ("plan.json: stage {} lists operator {} twice", s, index(*twice));
  const auto actual = operators_of(homes, s);
  check_number(fmt::format("stage {}", s), "number of operators", planned.size(), actual.size());
}

void check_stage(std::size_t s, const Stage& stage, const Graph& graph, const Model& segment,
                 const Homes& homes) {
  check_operators(s, stage, homes);
  const std::string owner = fmt::format("stage {}", s);
  std::uint32_t first_depth = graph.depth();
  std::uint32_t last_depth = 0;
  std::uint64_t parameter_bytes = 0;
  std::uint64_t macs = 0;
  for (const OperatorId id : operators_of(homes, s)) {
    const OperatorStats& stats = graph.stats(id);
    first_depth = std::min(first_depth, stats.depth);
    last_depth = std::max(last_depth, stats.depth);
    parameter_bytes += stats.parameter_bytes;
    macs += stats.macs;
  }
  check_number(owner, "first depth", stage.first_depth, first_depth);
  check_number(owner, "last depth", stage.last_depth, last_depth);
  check_number(owner, "parameter bytes", stage.parameter_bytes, parameter_bytes);
  check_number(owner, "MACs", stage.macs, macs);
  check_names(owner, "inputs", stage.inputs, segment, segment.inputs());
  check_names(owner, "outputs", stage.outputs, segment, segment.outputs());
  check_number(owner, "input bytes", stage.input_bytes, value_bytes(segment, segment.inputs()));
  check_number(owner, "output bytes", stage.output_bytes, value_bytes(segment, segment.outputs()));
}

}  // namespace

bool are_named(const Model& model, std::span<const TensorId> tensors,
               std::span<const std::string> names) {
  return std::ranges::equal(tensors, names, [&](TensorId id, const std::string& name) {
    return json::as_written(model.unique_name(id)) == json::as_written(name);
  });
}

void check_plan(const Plan& plan, const Model& whole, std::span<const Model> segments,
                const Homes& homes) {
  if (plan.stages.size() != segments.size())
    differ("plan.json has {}, but the folder has {}", format_count(plan.stages.size(), "stage"),
           format_count(segments.size(), "segment"));
  const Graph graph(whole);
  check_number("the model", "number of operators", plan.model.operator_count,
               graph.operator_count());
  check_number("the model", "parameter bytes", plan.model.parameter_bytes, graph.parameter_bytes());
  check_number("the model", "MACs", plan.model.macs, graph.macs());
  check_number("the model", "depth", plan.model.depth, graph.depth());
  for (std::size_t s = 0; s < segments.size(); ++s)
    check_stage(s, plan.stages[s], graph, segments[s], homes);
}

}  // namespace segue
