// What the models of a set put on its devices, and what a change would do to their rates.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "segue/graph.h"
#include "segue/plan_set.h"

namespace segue {

// Where a model runs.
struct Placement {
  std::vector<std::uint32_t> tpus = {};                // in the order of its pipeline's devices
  std::map<std::uint32_t, std::uint32_t> stages = {};  // by TPU; a TPU without one is idle
  // The plan that was made for fewer TPUs; null: that of the set.
  std::shared_ptr<const Plan> plan = nullptr;
};
using Placements = std::vector<Placement>;  // by model

// Returns the stage of a model if the set planned it on a TPU, otherwise null.
[[nodiscard]] const Resident* planned_resident(const SetPlan& plan, std::uint32_t model,
                                               std::uint32_t stage, std::uint32_t tpu);

// How well demands are met.
struct Merit {
  double demanded = 0;  // the least share of a demanded rate that is possible, at most 1
  double free = 0;      // the same for models without one, without limit
  double slack = 0;     // `demanded` without limit
};

// The laws of plan_set.h for changed placements. It remembers new plans; not thread-safe.
class SetLoad {
 public:
  // `models` has null for a model that cannot be planned again.
  SetLoad(const SetPlan& plan, std::vector<std::shared_ptr<const Model>> models);

  [[nodiscard]] const SetPlan& plan() const { return plan_; }
  [[nodiscard]] Placements initial() const;

  // The time of a model on a TPU, and of sending its parameters after another model.
  struct Use {
    Nanoseconds time{0};
    Nanoseconds reload{0};
  };
  [[nodiscard]] Use use(const Placements& placements, std::uint32_t model, std::uint32_t tpu) const;

  // Lost TPUs in `placements` have no load.
  [[nodiscard]] Merit merit(const Placements& placements, const std::vector<bool>& is_lost) const;

  // Removes a TPU from a model. If its stage has no other, the model is planned for the remaining
  // TPUs. Returns false if it then cannot run.
  [[nodiscard]] bool remove(Placement& placement, std::uint32_t model, std::uint32_t tpu);
  // The placement of a model that is planned for its TPUs. Returns false if there is no plan.
  [[nodiscard]] bool replan(Placement& placement, std::uint32_t model);

 private:
  // Whether a model uses the TPU that the set did not plan there.
  [[nodiscard]] bool has_stranger(const Placements& placements, std::uint32_t tpu) const;
  [[nodiscard]] const Plan& plan_of(const Placement& placement, std::uint32_t model) const {
    return placement.plan != nullptr ? *placement.plan : plan_.models[model].plan;
  }

  SetPlan plan_;
  DevicePool pool_;
  std::vector<std::shared_ptr<const Model>> models_;
  std::vector<std::unique_ptr<const Graph>> graphs_;
  std::map<std::pair<std::uint32_t, std::size_t>, std::shared_ptr<const Plan>> plans_;
};

}  // namespace segue
