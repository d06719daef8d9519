// Adds decoding to a plan as its last stage.
#include <algorithm>

#include "plan/internal/limits.h"
#include "segue/plan.h"

namespace segue {

std::optional<Bound> bound_without_decoding(const Plan& plan) {
  Bound bound = *plan.bound;
  if (!plan.decoding) return bound;
  const Nanoseconds time = plan.decoding->time;
  if (bound.value <= time) return std::nullopt;
  if (plan.objective == Objective::kLatency) bound.value -= time;
  if (bound.max_latency) *bound.max_latency -= time;
  return bound;
}

Plan without_decoding(Plan plan, std::span<const DevicePool> pools) {
  if (!plan.decoding) return plan;
  plan.bound.reset();
  plan.decoding.reset();
  predict_anew(plan, pools);
  return plan;
}

Plan with_decoding(Plan plan, const DecodingWork& work, std::span<const DevicePool> pools) {
  plan = without_decoding(std::move(plan), pools);
  plan.decoding = decoding_on(work, pools);
  predict_anew(plan, pools);
  if (!plan.bound) return plan;
  const Nanoseconds time = plan.decoding->time;
  Bound& bound = *plan.bound;
  bound.value =
      plan.objective == Objective::kLatency ? bound.value + time : std::max(bound.value, time);
  if (bound.max_latency) *bound.max_latency += time;
  bound.is_proven = is_reached(bound, plan);
  return plan;
}

}  // namespace segue
