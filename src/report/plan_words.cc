#include "report/plan_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "segue/units.h"

namespace segue {
namespace {

// What most of a stage's time goes into, in words.
std::string cause(const SegmentTime& time) {
  const std::array<std::pair<Nanoseconds, const char*>, 5> parts{
      {{time.compute, "computing"},
       {time.streaming, "streaming parameters from the host"},
       {time.input, "receiving its input"},
       {time.output, "sending its output"},
       {time.fixed, "the fixed cost of an inference"}}};
  const auto* const largest = std::ranges::max_element(parts);
  return fmt::format("{} of {} ms go into {}", format_ms(largest->first), format_ms(time.total()),
                     largest->second);
}

std::string advice(const Stage& stage, const Plan& plan, bool shares) {
  if (plan.bound && plan.bound->is_proven && !shares)
    return "no plan within the limits given is better (`segue verify MODEL plan.json` checks that)";
  const SegmentTime& time = stage.time;
  const Nanoseconds transfers = time.input + time.output;
  if (stage.operators.size() == 1 && stage.time.streaming > time.compute)
    return "it is one operator that no device can hold; no number of TPUs helps it";
  if (time.streaming > time.compute && time.streaming > transfers)
    return "cut elsewhere (`--strategy optimal`) or use more TPUs, so that its parameters fit";
  if (time.fixed > time.compute + transfers) return "the model is too small to gain from more TPUs";
  if (transfers > time.compute)
    return "`--strategy optimal` cuts where tensors are small and gives slow stages more TPUs";
  if (plan.strategy == "optimal" || !stage.devices.empty())
    return "only more TPUs, or cuts elsewhere, help it";
  return fmt::format("`segue plan --strategy optimal --tpus {}` gives slow stages more TPUs",
                     plan.device_count() + 1);
}

}  // namespace

std::string strategy_title(const std::string& strategy) {
  if (strategy == "compiler") return "Segm_Comp";
  if (strategy == "balanced") return "Segm_Balanced";
  if (strategy == "profile") return "Segm_Prof";
  if (strategy == "optimal") return "Optimal";
  if (strategy == "manual") return "Cuts by hand";
  return strategy;
}

std::string host_operators_note(const Plan& plan) {
  std::uint32_t count = 0;
  for (const Stage& stage : plan.stages) count += stage.time.host_operators;
  if (count == 0) return "";
  return fmt::format(
      "{} operators run on the host's processor; their time is not predicted (`segue inspect` "
      "shows them).\n",
      count);
}

std::size_t slowest_stage(const Plan& plan) {
  const auto period = [](const Stage& stage) { return stage.time.total() / stage.replicas; };
  const auto slowest = std::ranges::max_element(plan.stages, {}, period);
  return static_cast<std::size_t>(slowest - plan.stages.begin());
}

std::string bottleneck_sentence(const Plan& plan, bool shares_link) {
  const std::size_t slowest = slowest_stage(plan);
  const Stage& stage = plan.stages[slowest];
  return fmt::format("Slowest is stage {}: {}; {}.", slowest, cause(stage.time),
                     advice(stage, plan, shares_link));
}

}  // namespace segue
