#include "planner/set/layouts.h"

#include <algorithm>

#include "device/edgetpu/internal/room.h"
#include "model/internal/state.h"
#include "planner/no_plan.h"
#include "segue/error.h"

namespace segue {
namespace {

std::uint64_t cacheable_bytes(const Graph& graph, std::span<const OperatorId> operators,
                              const DeviceSpec& device) {
  std::uint64_t sum = 0;
  for (const OperatorId id : operators) {
    const ParameterFootprint footprint = parameter_footprint(graph.model(), id, device);
    if (footprint.is_cacheable) sum += footprint.bytes;
  }
  return sum;
}

}  // namespace

SetStage::SetStage(const Graph& graph, std::vector<OperatorId> operators, const DeviceSpec& device)
    : graph_(graph),
      operators_(std::move(operators)),
      device_(device),
      room_(parameter_room(graph, operators_, device)),
      enough_(cacheable_bytes(graph, operators_, device)) {}

const PlacedStage& SetStage::in(std::uint64_t room) const {
  room = std::min(room, enough_);
  const auto found = placed_.find(room);
  if (found != placed_.end()) return found->second;
  return placed_.emplace(room, place(room)).first->second;
}

PlacedStage SetStage::place(std::uint64_t room) const {
  const MemoryReport memory = compile_in_room(graph_, operators_, device_, room);
  return {memory.on_chip_bytes, memory.host_bytes,
          simulate_segment(graph_, operators_, memory, device_),
          parameter_load_time(memory.on_chip_bytes, device_)};
}

SetChoices::SetChoices(const Graph& graph, const ModelDemand& demand, const DevicePool& pool)
    : graph_(graph),
      demand_(demand),
      pool_(pool),
      planner_(graph, pool.device, kMostSetTpus, pool.shares_link),
      replicates_(!keeps_state(graph.model())) {}

const std::optional<Plan>& SetChoices::own(std::uint32_t count) {
  if (!own_.contains(count)) own_.emplace(count, plan_own(count));
  return own_.at(count);
}

std::optional<Plan> SetChoices::plan_own(std::uint32_t count) const {
  OptimalOptions limits{.max_latency = demand_.max_latency};
  try {
    Plan plan = planner_.plan(count, Strategy::kOptimal, limits).plan;
    if (plan.device_count() < count) return std::nullopt;
    return plan;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInfeasible || !demand_.max_latency) throw;
  }
  limits = {.objective = Objective::kLatency};
  Plan plan = planner_.plan(count, Strategy::kOptimal, limits).plan;
  if (plan.device_count() < count) return std::nullopt;
  return plan;
}

const std::vector<SetLayout>& SetChoices::layouts(std::uint32_t stages) {
  if (!layouts_.contains(stages)) layouts_.emplace(stages, cut(stages));
  return layouts_.at(stages);
}

std::vector<SetLayout> SetChoices::cut(std::uint32_t stages) const {
  std::vector<std::vector<std::vector<OperatorId>>> cuts;
  const auto add = [&](const Plan& plan) {
    auto segments = segmentation_of(plan).segments;
    if (segments.size() == stages && std::ranges::find(cuts, segments) == cuts.end())
      cuts.push_back(std::move(segments));
  };
  add(planner_.plan(stages, Strategy::kOptimal, {.max_replicas = 1}).plan);
  try {
    if (stages > 1) add(planner_.plan(stages, Strategy::kBalanced).plan);
  } catch (const Error& error) {
    if (!means_no_plan(error)) throw;
  }
  std::vector<SetLayout> result;
  for (auto& segments : cuts) {
    SetLayout& layout = result.emplace_back();
    for (auto& operators : segments)
      layout.emplace_back(graph_, std::move(operators), pool_.device);
  }
  return result;
}

}  // namespace segue
