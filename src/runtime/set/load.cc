#include "runtime/set/load.h"

#include <algorithm>
#include <limits>

#include "device/edgetpu/internal/room.h"
#include "segue/error.h"
#include "segue/planner.h"

namespace segue {
namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();

std::size_t copies_of(const Placement& placement, std::uint32_t stage) {
  return static_cast<std::size_t>(
      std::ranges::count_if(placement.stages, [&](const auto& of) { return of.second == stage; }));
}

}  // namespace

const Resident* planned_resident(const SetPlan& plan, std::uint32_t model, std::uint32_t stage,
                                 std::uint32_t tpu) {
  if (tpu >= plan.tpus.size()) return nullptr;
  for (const Resident& resident : plan.tpus[tpu].residents)
    if (resident.model == model && resident.stage == stage) return &resident;
  return nullptr;
}

SetLoad::SetLoad(const SetPlan& plan, std::vector<std::shared_ptr<const Model>> models)
    : plan_(plan),
      pool_(open_devices(std::span(&plan.device, 1), plan.device.count).at(0)),
      models_(std::move(models)),
      graphs_(models_.size()) {}

Placements SetLoad::initial() const {
  Placements result;
  for (const SetModel& model : plan_.models) {
    Placement& placement = result.emplace_back();
    for (std::uint32_t s = 0; s < model.tpus.size(); ++s) {
      for (const std::uint32_t t : model.tpus[s]) {
        placement.tpus.push_back(t);
        placement.stages[t] = s;
      }
    }
  }
  return result;
}

SetLoad::Use SetLoad::use(const Placements& placements, std::uint32_t model,
                          std::uint32_t tpu) const {
  const Placement& placement = placements[model];
  const std::uint32_t stage = placement.stages.at(tpu);
  const auto reload = [&](std::uint64_t bytes) { return parameter_load_time(bytes, pool_.device); };
  const bool is_swapped = has_stranger(placements, tpu);
  const Resident* planned = planned_resident(plan_, model, stage, tpu);
  if (planned != nullptr && placement.plan == nullptr)
    return {planned->time, is_swapped ? reload(planned->on_chip_bytes) : planned->reload};
  const Stage& alone = plan_of(placement, model).stages[stage];
  return {alone.time.total(), is_swapped ? reload(alone.on_chip_bytes) : Nanoseconds(0)};
}

bool SetLoad::has_stranger(const Placements& placements, std::uint32_t tpu) const {
  std::size_t users = 0;
  bool has_one = false;
  for (std::uint32_t m = 0; m < placements.size(); ++m) {
    const auto stage = placements[m].stages.find(tpu);
    if (stage == placements[m].stages.end()) continue;
    ++users;
    has_one |=
        placements[m].plan != nullptr || planned_resident(plan_, m, stage->second, tpu) == nullptr;
  }
  return has_one && users > 1;
}

Merit SetLoad::merit(const Placements& placements, const std::vector<bool>& is_lost) const {
  const double limit = 1 - plan_.headroom;
  Merit result{1, kInfinite, kInfinite};
  for (std::uint32_t t = 0; t < is_lost.size(); ++t) {
    if (is_lost[t]) continue;
    double demanded = 0;
    double free = 0;
    for (std::uint32_t m = 0; m < placements.size(); ++m) {
      const auto stage = placements[m].stages.find(t);
      if (stage == placements[m].stages.end()) continue;
      const SetModel& model = plan_.models[m];
      const Use of = use(placements, m, t);
      const double per_s =
          model.rate_per_s / static_cast<double>(copies_of(placements[m], stage->second));
      (model.demand.rate_per_s ? demanded : free) += per_s * to_s(of.time + of.reload);
    }
    if (demanded > 0) result.slack = std::min(result.slack, limit / demanded);
    if (free > 0) result.free = std::min(result.free, std::max(0.0, limit - demanded) / free);
  }
  result.demanded = std::min(1.0, result.slack);
  return result;
}

bool SetLoad::remove(Placement& placement, std::uint32_t model, std::uint32_t tpu) {
  std::erase(placement.tpus, tpu);
  const auto found = placement.stages.find(tpu);
  if (found == placement.stages.end()) return true;
  const std::uint32_t stage = found->second;
  placement.stages.erase(found);
  return copies_of(placement, stage) > 0 || replan(placement, model);
}

bool SetLoad::replan(Placement& placement, std::uint32_t model) {
  const std::size_t count = placement.tpus.size();
  if (count == 0 || models_[model] == nullptr) return false;
  std::shared_ptr<const Plan>& plan = plans_[{model, count}];
  if (plan == nullptr) {
    if (graphs_[model] == nullptr) graphs_[model] = std::make_unique<const Graph>(*models_[model]);
    const DevicePool pool{pool_.device, static_cast<std::uint32_t>(count),
                          pool_.shares_link && count > 1};
    plan = std::make_shared<const Plan>(
        plan_by_strategy(*graphs_[model], std::span(&pool, 1), Strategy::kOptimal).plan);
  }
  placement.plan = plan;
  placement.stages.clear();
  std::size_t next = 0;
  for (std::uint32_t s = 0; s < plan->stages.size(); ++s) {
    for (std::uint32_t r = 0; r < plan->stages[s].replicas; ++r)
      placement.stages[placement.tpus[next++]] = s;
  }
  return true;
}

}  // namespace segue
