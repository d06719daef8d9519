#include "report/plan_words.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <utility>

#include "segue/units.h"

namespace segue {
namespace {

// What most of a stage's time goes into, in words.
std::string cause(const SegmentTime& time) {
  const std::array<std::pair<Nanoseconds, const char*>, 6> parts{
      {{time.compute, "computing"},
       {time.streaming, "streaming parameters from the host"},
       {time.input, "receiving its input"},
       {time.output, "sending its output"},
       {time.fixed, "the fixed cost of an inference"},
       {time.host, "operators on the host's processor"}}};
  const auto* const largest = std::ranges::max_element(parts);
  return fmt::format("{} of {} ms go into {}", format_ms(largest->first), format_ms(time.total()),
                     largest->second);
}

// Where all devices are equal.
bool is_slower_than_its_stages(const Plan& plan) {
  const Stage& slowest = plan.stages[slowest_stage(plan)];
  return slowest.devices.empty() &&
         plan.predicted.bottleneck >
             slowest.time.total() / slowest.replicas + std::chrono::microseconds(1);
}

// Whether what the stages send takes the whole time on the link that their devices share.
bool is_link_bound(const Plan& plan) {
  if (!has_shared_link(plan) || !is_slower_than_its_stages(plan)) return false;
  Nanoseconds busy{0};
  for (const Stage& stage : plan.stages) busy += stage.time.link();
  return busy >= plan.predicted.bottleneck;
}

std::string advice(const Stage& stage, const Plan& plan, bool shares) {
  const bool is_best = plan.strategy == "optimal";
  if (plan.bound && plan.bound->is_proven && !shares)
    return "no plan within the limits given is better";
  const SegmentTime& time = stage.time;
  const Nanoseconds transfers = time.input + time.output;
  if (time.host > time.total() - time.host)
    return "convert the model so that the TPU can compute them (`segue inspect` says how)";
  if (stage.operators.size() == 1 && stage.time.streaming > time.compute)
    return "it is one operator that no device can hold; no number of TPUs helps it";
  if (time.streaming > time.compute && time.streaming > transfers)
    return is_best || plan.device_count() == 1 ? "use more TPUs, so that its parameters fit"
                                               : "cut elsewhere (`--strategy optimal`) or use more "
                                                 "TPUs, so that its parameters fit";
  if (time.fixed > time.compute + transfers) return "the model is too small to gain from more TPUs";
  if (is_best || plan.device_count() == 1) return "more TPUs help it (`--strategy optimal`)";
  if (transfers > time.compute)
    return "`--strategy optimal` cuts where tensors are small and gives slow stages more TPUs";
  return "`--strategy optimal` gives slow stages more TPUs; or use more";
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
  const std::uint32_t count = plan.host_operators();
  if (count == 0) return "";
  Nanoseconds total{0};
  for (const Stage& stage : plan.stages) total += stage.time.total();
  return fmt::format(
      "{} run{} on the host's processor, for {} of {} per input (estimated; `segue "
      "inspect` gives the reasons, `--measure cpu` measures).\n",
      format_count(count, "operator"), count == 1 ? "s" : "", format_time(plan.host_time()),
      format_time(total));
}

std::size_t slowest_stage(const Plan& plan) {
  const auto period = [](const Stage& stage) { return stage.time.total() / stage.replicas; };
  const auto slowest = std::ranges::max_element(plan.stages, {}, period);
  return static_cast<std::size_t>(slowest - plan.stages.begin());
}

std::string replicas_text(const Plan& plan) {
  return fmt::format("{}", fmt::join(replicas_of(plan), "+"));
}

bool has_shared_link(const Plan& plan) { return plan.device.find(":shared") != std::string::npos; }

bool is_runner_bound(const Plan& plan) {
  return is_slower_than_its_stages(plan) && !is_link_bound(plan);
}

std::string bottleneck_sentence(const Plan& plan, bool shares_link) {
  const std::size_t slowest = slowest_stage(plan);
  const Stage& stage = plan.stages[slowest];
  if (is_link_bound(plan)) {
    return fmt::format("The shared link sets the pace: it is busy for {} of each input; {}.",
                       format_time(plan.predicted.bottleneck),
                       plan.strategy == "optimal"
                           ? "give TPUs links of their own"
                           : "cut where tensors are small (`--strategy optimal`), or give TPUs "
                             "links of their own");
  }
  // What devices wait for one another on a link is not in the plan.
  if ((!shares_link || has_shared_link(plan)) && is_runner_bound(plan)) {
    return fmt::format(
        "The host's runner sets the pace: it spends {} on each of {}; fewer stages would "
        "take less of it.",
        format_time(plan.predicted.bottleneck / static_cast<std::int64_t>(plan.stages.size())),
        format_count(plan.stages.size(), "stage"));
  }
  if (stage.time.total() == Nanoseconds{0}) return "Nothing of it runs on a TPU.";
  return fmt::format("Slowest is stage {}: {}; {}.", slowest, cause(stage.time),
                     advice(stage, plan, shares_link));
}

}  // namespace segue
