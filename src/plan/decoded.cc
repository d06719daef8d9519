// Adds decoding to a plan as its last stage, and its JSON form.
#include <algorithm>

#include "plan/internal/prediction.h"
#include "plan/internal/time_json.h"
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
  update_prediction(plan, pools);
  return plan;
}

Plan with_decoding(Plan plan, const DecodingWork& work, std::span<const DevicePool> pools) {
  plan = without_decoding(std::move(plan), pools);
  plan.decoding = decoding_on(work, pools);
  update_prediction(plan, pools);
  if (!plan.bound) return plan;
  const Nanoseconds time = plan.decoding->time;
  Bound& bound = *plan.bound;
  bound.value =
      plan.objective == Objective::kLatency ? bound.value + time : std::max(bound.value, time);
  if (bound.max_latency) *bound.max_latency += time;
  bound.is_proven = is_reached(bound, plan);
  return plan;
}

json::Json decoding_json(const Decoding& decoding) {
  const auto* const named =
      std::ranges::find(kDetectorFamilies, decoding.work.family, &DetectorFamilyName::family);
  return {{"family", named->key},
          {"boxes", decoding.work.boxes},
          {"scores", decoding.work.scores},
          {"time_ns", decoding.time.count()},
          {"time_range_ns", range_json(decoding.range)}};
}

Decoding parse_decoding(const json::Node& node) {
  node.expect_keys({"family", "boxes", "scores", "time_ns", "time_range_ns"});
  const Nanoseconds time(static_cast<std::int64_t>(node["time_ns"].number(kLongestOfStageNs)));
  return {.work = {node["family"].text_as(parse_detector_family), node["boxes"].number(),
                   node["scores"].number()},
          .time = time,
          .range = read_range(node["time_range_ns"], time, kLongestRangeOfStageNs)};
}

}  // namespace segue
