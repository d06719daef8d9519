// Which model a plan belongs to.
#include <fmt/format.h>

#include <algorithm>

#include "segue/error.h"
#include "segue/graph.h"
#include "segue/plan.h"

namespace segue {
namespace {

void check_model(const Plan& plan, const Model& model) {
  if (plan.model.sha256.empty()) {
    const Graph graph(model);
    if (plan.model.name == model.name() && plan.model.operator_count == graph.operator_count() &&
        plan.model.parameter_bytes == graph.parameter_bytes() && plan.model.macs == graph.macs() &&
        plan.model.depth == graph.depth())
      return;
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("the plan was made for model '{}' with {} operators and {} parameter "
                            "bytes, not for '{}'; make a new plan with `segue plan`",
                            plan.model.name, plan.model.operator_count, plan.model.parameter_bytes,
                            model.name()));
  }
  const std::string actual = sha256(model.bytes());
  const std::size_t operators = model.operators().size();
  if (plan.model.sha256 == actual && plan.model.operator_count == operators) return;
  if (plan.model.sha256 == actual) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format(
            "the plan has {} operators, but the model has {}: the plan is for another signature of "
            "this file (--signature), or was edited; make a new plan with `segue plan`",
            plan.model.operator_count, operators));
  }
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("the plan was made for model '{}' (sha256 {:.12}…), not for '{}' (sha256 "
                          "{:.12}…); make a new plan with `segue plan`",
                          plan.model.name, plan.model.sha256, model.name(), actual));
}

void check_replicas(const Plan& plan, const Model& model) {
  for (std::size_t s = 0; s < plan.stages.size(); ++s) {
    const Stage& stage = plan.stages[s];
    const auto is_of_model = [&](OperatorId id) { return index(id) < model.operators().size(); };
    if (stage.replicas == 1 || !std::ranges::all_of(stage.operators, is_of_model) ||
        !keeps_state(model, stage.operators))
      continue;
    throw Error(
        ErrorCode::kUnsupported,
        fmt::format("{}: stage {} keeps state between inputs, so it must run on one device, "
                    "not on {}; make a new plan with `segue plan`",
                    model.name(), s, stage.replicas));
  }
}

}  // namespace

void identify_model(Plan& plan, const Model& model) { plan.model.sha256 = sha256(model.bytes()); }

void check_plan_matches(const Plan& plan, const Model& model) {
  check_model(plan, model);
  check_replicas(plan, model);
}

}  // namespace segue
