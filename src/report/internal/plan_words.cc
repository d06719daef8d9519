#include "report/internal/plan_words.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <utility>

#include "segue/report.h"
#include "segue/units.h"

namespace segue {
namespace {

// Describes the largest part of a stage's time.
std::string cause(const SegmentTime& time) {
  const std::array<std::pair<Nanoseconds, const char*>, 6> parts{
      {{time.compute, "computing"},
       {time.streaming, "streaming parameters from the host"},
       {time.input, "the input transfer"},
       {time.output, "the output transfer"},
       {time.fixed, "the fixed overhead of an inference"},
       {time.host, "operators on the host CPU"}}};
  const auto* const largest = std::ranges::max_element(parts);
  return fmt::format("{} of {} ms are spent on {}", format_ms(largest->first),
                     format_ms(time.total()), largest->second);
}

// Whether results come more slowly than the slowest stage alone allows. Always false if that stage
// runs on several kinds of devices.
bool is_slower_than_its_stages(const Plan& plan) {
  const Stage& slowest = plan.stages[slowest_stage(plan)];
  return slowest.devices.empty() &&
         plan.predicted.bottleneck >
             slowest.time.total() / slowest.replicas + std::chrono::microseconds(1);
}

// Whether the stages' transfers keep the shared link busy all the time.
bool is_link_bound(const Plan& plan) {
  if (!has_shared_link(plan) || !is_slower_than_its_stages(plan)) return false;
  Nanoseconds busy{0};
  for (const Stage& stage : plan.stages) busy += stage.time.link();
  return busy >= plan.predicted.bottleneck;
}

// Whether the stage has one operator, which is larger than the memory of a device. Other cuts
// cannot make such a stage faster.
bool is_one_large_operator(const Stage& stage) {
  return stage.operators.size() == 1 && stage.time.streaming > stage.time.compute;
}

std::string advice(const Stage& stage, const Plan& plan, bool shares) {
  const bool is_best = plan.strategy == Strategy::kOptimal;
  const SegmentTime& time = stage.time;
  const Nanoseconds transfers = time.input + time.output;
  if (time.host > time.total() - time.host)
    return "convert the model so that the TPU supports these operators (`segue inspect` shows how)";
  if (is_one_large_operator(stage))
    return is_best ? "the parameters of its only operator do not fit in a TPU; only more replicas "
                     "of the stage make it faster"
                   : "the parameters of its only operator do not fit in a TPU; `--strategy "
                     "optimal` can replicate the stage";
  if (plan.bound && plan.bound->is_proven && !shares && plan.objective == Objective::kThroughput)
    return "no plan" + limits_text(*plan.bound) + " is faster";
  if (time.streaming > time.compute && time.streaming > transfers)
    return is_best || plan.device_count() == 1 ? "use more TPUs, so that its parameters fit on chip"
                                               : "move the cuts (`--strategy optimal`) or use more "
                                                 "TPUs, so that its parameters fit on chip";
  const bool may_replicate = !plan.bound || plan.bound->max_replicas != 1;
  if (time.fixed > time.compute + transfers) {
    if (plan.objective == Objective::kLatency || !may_replicate)
      return "other cuts and more TPUs do not shorten it";
    return is_best ? "only replicas raise the throughput"
                   : "`--strategy optimal` can replicate the stage";
  }
  if (is_best) return "more TPUs make it faster";
  if (plan.device_count() == 1) return "more TPUs make it faster (`--strategy optimal`)";
  if (transfers > time.compute)
    return "`--strategy optimal` cuts where tensors are small, and can replicate slow stages";
  return "`--strategy optimal` can replicate slow stages";
}

// Returns the unit that format_time would choose, and its length in nanoseconds.
std::pair<double, const char*> unit_of(Nanoseconds time) {
  if (time >= std::chrono::seconds(1)) return {1e9, "s"};
  if (time >= std::chrono::milliseconds(1)) return {1e6, "ms"};
  return {1e3, "us"};
}

// Returns the time that the objective minimizes, with its range.
std::pair<Nanoseconds, std::optional<TimeRange>> objective_of(const Plan& plan, bool is_latency) {
  const Prediction& predicted = plan.predicted;
  if (is_latency) return {predicted.latency, latency_range(predicted)};
  return {predicted.bottleneck, bottleneck_range(predicted)};
}

}  // namespace

std::string with_range(Nanoseconds time, const std::optional<TimeRange>& range) {
  if (!range) return format_time(time);
  const auto [factor, unit] = unit_of(time);
  // clang 14 does not capture structured bindings by reference.
  const auto in_unit = [length_ns = factor](Nanoseconds end) {
    return fmt::format("{:.2f}", static_cast<double>(end.count()) / length_ns);
  };
  return fmt::format("{} {} ({} to {})", in_unit(time), unit, in_unit(range->low),
                     in_unit(range->high));
}

std::string rate_with_range(const Prediction& predicted) {
  return fmt::format("{:.1f}/s{}", predicted.throughput_per_s, rate_range_text(predicted));
}

std::string rate_range_text(const Prediction& predicted) {
  if (!predicted.range) return "";
  const RateRange range = predicted.range->throughput_per_s();
  return fmt::format(" ({:.1f} to {:.1f})", range.low, range.high);
}

std::optional<TimeRange> bottleneck_range(const Prediction& predicted) {
  if (!predicted.range) return std::nullopt;
  return predicted.range->bottleneck;
}

std::optional<TimeRange> latency_range(const Prediction& predicted) {
  if (!predicted.range) return std::nullopt;
  return predicted.range->latency;
}

std::string overlap_sentence(const Plan& best, const std::vector<const Plan*>& others,
                             const std::function<std::string(const Plan&)>& name_of) {
  const bool is_latency = best.objective == Objective::kLatency;
  const auto [time, range] = objective_of(best, is_latency);
  const Plan* nearest = nullptr;
  std::size_t count = 0;
  for (const Plan* other : others) {
    const auto [other_time, other_range] = objective_of(*other, is_latency);
    if (other_time == time || !range || !other_range || !overlap(*range, *other_range)) continue;
    ++count;
    if (nearest == nullptr || other_time < objective_of(*nearest, is_latency).first)
      nearest = other;
  }
  if (count == 0) return "";
  const std::string more = count == 1 ? "" : fmt::format(" and {} more", count - 1);
  return fmt::format(
      "The range of {} overlaps with that of {}{}: a measurement may reverse the order.",
      name_of(best), name_of(*nearest), more);
}

bool is_host_measured(const Plan& plan) {
  return std::ranges::all_of(plan.stages, [&](const Stage& stage) {
    // The plan does not say which of a stage's operators the host computes.
    const auto measured = std::ranges::count_if(stage.operators, [&](OperatorId id) {
      return plan.measured_host.contains(static_cast<std::uint32_t>(id));
    });
    return measured >= stage.time.host_operators;
  });
}

std::string limits_text(const Bound& bound) {
  return bound.max_replicas > 0 || bound.max_latency ? " within the given limits"
                                                     : " on these devices";
}

std::string host_operators_note(const Plan& plan) {
  const std::uint32_t count = plan.host_operators();
  if (count == 0) return "";
  Nanoseconds total{0};
  for (const Stage& stage : plan.stages) total += stage.time.total();
  const bool is_compiled = std::ranges::any_of(plan.stages, [](const Stage& stage) {
    return stage.compiled && stage.compiled->host_operators &&
           !stage.compiled->host_operators->empty();
  });
  return fmt::format(
      "{} run{} on the host CPU: {} of {} per input ({}; {}{}).\n", format_count(count, "operator"),
      count == 1 ? "s" : "", format_time(plan.host_time()), format_time(total),
      is_host_measured(plan) ? "measured" : "estimated",
      is_compiled ? "edgetpu_compiler left them there" : "`segue inspect` shows the reasons",
      is_host_measured(plan) ? "" : ", `segue plan --measure cpu` measures them");
}

std::string decoding_note(const std::optional<Decoding>& decoding) {
  if (!decoding) return "";
  return fmt::format("Decoding on the host ({}, {}): {} per input, estimated.\n",
                     to_string(decoding->work.family), format_count(decoding->work.boxes, "row"),
                     with_range(decoding->time, decoding->range));
}

std::size_t slowest_stage(const Plan& plan) {
  const auto period = [](const Stage& stage) { return stage.time.total() / stage.replicas; };
  const auto slowest = std::ranges::max_element(plan.stages, {}, period);
  return static_cast<std::size_t>(slowest - plan.stages.begin());
}

std::string replicas_text(const Plan& plan) {
  return fmt::format("{}", fmt::join(replicas_of(plan), "+"));
}

std::string percent(double share) { return fmt::format("{:.0f}", 100 * share); }

bool has_shared_link(const Plan& plan) {
  return std::ranges::find(plan.devices, PoolName::Link::kShared, &PoolName::link) !=
         plan.devices.end();
}

bool is_decoding_bound(const Plan& plan) {
  const Stage& slowest = plan.stages[slowest_stage(plan)];
  return plan.decoding && plan.decoding->time == plan.predicted.bottleneck &&
         plan.decoding->time > slowest.time.total() / slowest.replicas;
}

bool is_host_bound(const Plan& plan) {
  return plan.host_operators() > 0 && !is_decoding_bound(plan) && is_slower_than_its_stages(plan) &&
         !is_link_bound(plan);
}

namespace {

// What limits a plan with a network, unless a stage does.
std::string network_sentence(const Plan& plan) {
  constexpr double kAlways = 0.9999;
  const Topology& topology = plan.network->topology;
  for (const LinkTraffic& traffic : link_traffic(plan)) {
    const TopologyLink& link = topology.links[traffic.link];
    if (traffic.busy < kAlways) continue;
    return fmt::format("The link between {} and {} is the bottleneck: it is busy for {} per input.",
                       printable(topology.nodes[link.a].name),
                       printable(topology.nodes[link.b].name),
                       format_time(plan.predicted.bottleneck));
  }
  const auto period = [](const Stage& stage) {
    double rate = stage.devices.empty() ? stage.replicas / to_s(stage.time.total()) : 0;
    for (const StageDevices& kind : stage.devices) rate += kind.replicas / to_s(kind.time.total());
    return 1 / rate;
  };
  const double slowest = period(*std::ranges::max_element(plan.stages, {}, period));
  if (slowest >= kAlways * to_s(plan.predicted.bottleneck)) return "";
  return fmt::format(
      "The processor of a node, or a link that devices of a node share, is the bottleneck: it is "
      "busy for {} per input.",
      format_time(plan.predicted.bottleneck));
}

}  // namespace

std::string bottleneck_sentence(const Plan& plan, bool shares_link) {
  const std::size_t slowest = slowest_stage(plan);
  const Stage& stage = plan.stages[slowest];
  if (is_decoding_bound(plan)) {
    return fmt::format(
        "Decoding on the host is the bottleneck: it takes {} per input, the slowest stage {}; more "
        "TPUs do not make it faster.",
        format_time(plan.decoding->time), format_time(stage.time.total() / stage.replicas));
  }
  if (plan.network) {
    if (std::string sentence = network_sentence(plan); !sentence.empty()) return sentence;
    return fmt::format("Stage {} is the slowest: {}; {}.", slowest, cause(stage.time),
                       advice(stage, plan, shares_link));
  }
  if (is_link_bound(plan)) {
    return fmt::format("The shared link is the bottleneck: it is busy for {} per input; {}.",
                       format_time(plan.predicted.bottleneck),
                       plan.strategy == Strategy::kOptimal
                           ? "give each TPU a separate link"
                           : "cut where tensors are small (`--strategy "
                             "optimal`), or give each TPU a separate link");
  }
  // The plan does not contain the times that devices wait for each other on a link.
  if ((!shares_link || has_shared_link(plan)) && is_host_bound(plan)) {
    return fmt::format(
        "The host CPU is the bottleneck: its cores spend {} on operators{} per input.",
        format_time(plan.host_time()), plan.decoding ? ", and decode," : "");
  }
  if (stage.time.total() == Nanoseconds{0}) return "No operator runs on a TPU.";
  if (is_slower_than_its_stages(plan)) {
    return fmt::format(
        "The busy host is the bottleneck: with several TPUs, it takes longer to process its share "
        "of the outputs. A result is ready every {}, although no stage takes more than {} alone; "
        "{}.",
        format_time(plan.predicted.bottleneck), format_time(stage.time.total() / stage.replicas),
        plan.strategy == Strategy::kOptimal ? "set the host CPU to its full clock rate"
                                            : "cut where tensors are small (`--strategy optimal`)");
  }
  return fmt::format("Stage {} is the slowest: {}; {}.", slowest, cause(stage.time),
                     advice(stage, plan, shares_link));
}

}  // namespace segue
