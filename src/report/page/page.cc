#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "base/internal/json/node.h"
#include "plan/internal/time_json.h"
#include "report/internal/assets.h"
#include "report/internal/causes.h"
#include "report/internal/frame.h"
#include "report/internal/plan_words.h"
#include "segue/error.h"
#include "segue/report.h"
#include "segue/timeline.h"
#include "segue/units.h"
#include "segue/version.h"

namespace segue {
namespace {

using json::Json;
using json::rounded;

// A name may be as long as a file. A page shows only its beginning.
constexpr std::size_t kLongestName = 200;

std::string name_text(std::string_view name) {
  return json::as_written(name.substr(0, std::min(name.size(), kLongestName)));
}

// Returns a sentence if a measurement may reverse the order of this plan and others on the same
// number of TPUs.
std::string overlap_note(const ComparedPlan& row, std::span<const ComparedPlan> rows) {
  std::vector<const Plan*> others;
  for (const ComparedPlan& other : rows) {
    if (other.tpus == row.tpus) others.push_back(&other.plan);
  }
  const std::string line =
      overlap_sentence(row.plan, others, [](const Plan& plan) { return plan.strategy_key(); });
  return line.empty() ? "" : " " + line;
}

// Returns the low and the high end, or null if the plan has no range.
Json range_json(const std::optional<TimeRange>& range) {
  return range ? segue::range_json(*range) : Json(nullptr);
}

Json rates_json(const Prediction& predicted) {
  return predicted.range ? segue::range_json(predicted.range->throughput_per_s()) : Json(nullptr);
}

// Returns the main result, which stands above the charts: "ResNet101 on 6 TPUs …".
std::string verdict(const Plan& plan, bool shares_link) {
  const Prediction& predicted = plan.predicted;
  const std::uint32_t tpus = plan.device_count();
  std::string text =
      fmt::format("{} on {}, {}: {:.1f} results per second{}, {:.2f} times one TPU",
                  name_text(plan.model.name), format_count(tpus, "TPU"), plan.strategy_key(),
                  predicted.throughput_per_s, rate_range_text(predicted), predicted.speedup);
  constexpr double kRounding = 0.005;  // of the number that is shown
  if (predicted.speedup > tpus + kRounding)
    text += ", more than the number of TPUs, because fewer parameters are streamed";
  text += plan.host_bytes() == 0
              ? ". All parameters stay on chip. "
              : fmt::format(". {} MiB of parameters are streamed at each inference. ",
                            format_mib(plan.host_bytes()));
  text += bottleneck_sentence(plan, shares_link);
  for (const std::string& note : {host_operators_note(plan), decoding_note(plan.decoding)}) {
    if (!note.empty()) text += " " + note;
  }
  std::erase(text, '`');  // texts for a terminal mark commands with backticks
  return text;
}

Json stage_json(const Graph& graph, const Stage& stage) {
  const SegmentTime& time = stage.time;
  return {{"devices", stage.replicas},
          {"operators", stage.operators.size()},
          {"on_chip_bytes", stage.on_chip_bytes},
          {"host_bytes", stage.host_bytes},
          {"time_ns",
           {{"fixed", time.fixed.count()},
            {"input", time.input.count()},
            {"compute", time.compute.count()},
            {"streaming", time.streaming.count()},
            {"output", time.output.count()},
            {"host", time.host.count()}}},
          {"host_operators", time.host_operators},
          {"first", name_text(graph.model().describe(stage.operators.front()))}};
}

Json timeline_json(const Plan& plan, std::span<const DevicePool> pools, std::uint64_t inputs) {
  TimelineOptions options = timeline_options(plan, pools);
  options.inputs = inputs;
  options.records_events = true;
  const Timeline timeline = simulate_timeline(stage_loads(plan), options);
  Json devices = Json::array();
  for (std::size_t s = 0; s < plan.stages.size(); ++s) {
    for (std::uint32_t replica = 0; replica < plan.stages[s].replicas; ++replica)
      devices.push_back(plan.stages[s].replicas > 1 ? fmt::format("stage {}.{}", s, replica)
                                                    : fmt::format("stage {}", s));
  }
  if (plan.decoding) devices.push_back("decoding");
  const auto microseconds = [](Nanoseconds time) { return (time.count() + 500) / 1000; };
  Json events = Json::array();
  for (const TimelineEvent& event : timeline.events) {
    const auto cause = cause_of(event.activity);
    if (!cause || microseconds(event.begin) == microseconds(event.end)) continue;
    events.push_back(
        {event.device, event.input, *cause, microseconds(event.begin), microseconds(event.end)});
  }
  return {{"devices", std::move(devices)}, {"events", std::move(events)}};
}

// If a stage shares depths with earlier stages, the cut before it is a range of depths: [from, to].
Json cuts_json(const Plan& plan) {
  Json cuts = Json::array();
  std::uint32_t deepest = 0;
  for (std::size_t s = 0; s + 1 < plan.stages.size(); ++s) {
    deepest = std::max(deepest, plan.stages[s].last_depth);
    std::uint32_t shallowest = plan.model.depth;
    for (std::size_t later = s + 1; later < plan.stages.size(); ++later)
      shallowest = std::min(shallowest, plan.stages[later].first_depth);
    cuts.push_back({std::min(deepest, shallowest - 1), deepest});
  }
  return cuts;
}

Json plan_json(const PageContent& content, const ComparedPlan& row) {
  const Plan& plan = row.plan;
  Json stages = Json::array();
  for (const Stage& stage : plan.stages) stages.push_back(stage_json(content.graph, stage));
  std::vector<DevicePool> pools(content.pools.begin(), content.pools.end());
  if (pools.size() == 1) pools[0].count = plan.device_count();
  const bool shares = std::ranges::any_of(
      pools, [](const DevicePool& pool) { return pool.shares_link && pool.count > 1; });
  const Prediction& predicted = plan.predicted;
  return {{"tpus", row.tpus},
          {"strategy", plan.strategy_key()},
          {"verdict", verdict(plan, shares) + overlap_note(row, content.plans)},
          {"throughput_per_s", rounded(predicted.throughput_per_s)},
          {"throughput_range_per_s", rates_json(predicted)},
          {"latency_ns", predicted.latency.count()},
          {"latency_range_ns", range_json(latency_range(predicted))},
          {"speedup", rounded(predicted.speedup)},
          {"efficiency", rounded(predicted.speedup / plan.device_count())},
          {"pareto", content.plans.size() > 1 && is_on_front(row, content.plans)},
          {"cuts", cuts_json(plan)},
          {"stages", std::move(stages)},
          {"timeline", timeline_json(plan, pools, content.inputs)}};
}

Json model_json(const Graph& graph) {
  Json bytes = Json::array();
  Json macs = Json::array();
  for (const Level& level : graph.levels()) {
    bytes.push_back(level.parameter_bytes);
    macs.push_back(level.macs);
  }
  return {{"name", name_text(graph.model().name())},
          {"operators", graph.operator_count()},
          {"parameter_bytes", graph.parameter_bytes()},
          {"macs", graph.macs()},
          {"levels", {{"bytes", std::move(bytes)}, {"macs", std::move(macs)}}}};
}

// The measured run, for the chart of the plan that it followed. Times of stages are null if the run
// had a different number of stages.
Json run_json(const RunReport& run, const ComparedPlan& of) {
  const PipelineStatistics& measured = run.measured;
  Json stages = nullptr;
  if (measured.stages.size() == of.plan.stages.size()) {
    stages = Json::array();
    for (const PipelineStageStatistics& stage : measured.stages)
      stages.push_back(stage.mean_time.count());
  }
  return {{"backend", name_text(run.backend)},
          {"tpus", of.tpus},
          {"strategy", of.plan.strategy_key()},
          {"results", measured.results},
          {"elapsed_ns", measured.elapsed.count()},
          {"throughput_per_s", rounded(measured.throughput_per_s)},
          {"p50_ns", measured.latency.p50.count()},
          {"p99_ns", measured.latency.p99.count()},
          {"stages_ns", std::move(stages)}};
}

// Escapes each "<", because "</script>" in a name would end the data.
std::string embedded(const Json& document) {
  std::string text = document.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string result;
  result.reserve(text.size());
  for (const char c : text) result += c == '<' ? std::string("\\u003c") : std::string(1, c);
  return result;
}

}  // namespace

std::string plans_page(const PageContent& content) {
  if (content.chosen >= content.plans.size())
    throw Error(ErrorCode::kInvalidArgument, "a report page needs a plan to show first");
  const ComparedPlan& chosen = content.plans[content.chosen];
  Json plans = Json::array();
  for (const ComparedPlan& row : content.plans) plans.push_back(plan_json(content, row));
  const DeviceSpec& device = content.pools[0].device;
  const std::string data = embedded(
      {{"schema", "segue.page/1"},
       {"model", model_json(content.graph)},
       {"device",
        {{"name", name_text(chosen.plan.device_text())},
         {"capacity_bytes", parameter_capacity(device.memory, 0)}}},
       {"inputs", content.inputs},
       {"chosen", {{"tpus", chosen.tpus}, {"strategy", chosen.plan.strategy_key()}}},
       {"plans", std::move(plans)},
       {"run", content.run ? run_json(*content.run, chosen) : Json(nullptr)},
       {"origin",
        fmt::format("Made by segue {}. Time model: docs/cost-model.md; accuracy: docs/accuracy.md.",
                    kVersion)}});
  return framed_page("Segue report", page_style, filled(page_body, {{"DATA", data}}), page_script);
}

}  // namespace segue
