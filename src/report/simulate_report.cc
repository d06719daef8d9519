#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/internal/json/node.h"
#include "plan/internal/time_json.h"
#include "report/internal/plan_words.h"
#include "segue/report.h"
#include "segue/units.h"

namespace segue {
namespace {

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

Nanoseconds mean(const std::vector<Nanoseconds>& values) {
  double sum = 0;
  for (const Nanoseconds value : values) sum += static_cast<double>(value.count());
  return Nanoseconds(std::llround(sum / static_cast<double>(values.size())));
}

// Returns the smallest value that at least `share` of all values do not exceed.
Nanoseconds percentile(std::vector<Nanoseconds> values, double share) {
  const auto rank = static_cast<std::size_t>(
      std::max(0.0, std::ceil(share * static_cast<double>(values.size())) - 1));
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(rank));
  return values[rank];
}

// Returns the time between results of a long stream. The batch cannot tell it: it is short, and its
// last inputs run faster because none follow them. Only the timeline contains the times that
// devices wait for each other on a shared link.
Nanoseconds long_run(const Plan& plan, const Timeline& timeline, const TimelineOptions& options) {
  const Nanoseconds alone = plan.predicted.bottleneck;
  if (options.shared.empty() && options.network.empty()) return alone;
  // A short batch does not show how long devices wait for each other.
  constexpr std::uint64_t kLong = 1000;
  if (timeline.results.size() >= kLong) return std::max(timeline.steady_period(), alone);
  TimelineOptions longer = options;
  longer.inputs = kLong;
  longer.records_events = false;
  return std::max(simulate_timeline(stage_loads(plan), longer).steady_period(), alone);
}

// Scales the range of a prediction to a time of the timeline.
std::optional<TimeRange> in_proportion(Nanoseconds time, Nanoseconds predicted,
                                       const std::optional<TimeRange>& range) {
  if (!range || predicted.count() == 0) return std::nullopt;
  constexpr double kLongestNs = 4e18;  // in 62 bits
  const auto end = [&](Nanoseconds of) {
    return Nanoseconds(std::llround(
        std::min(kLongestNs, to_s(of) / to_s(predicted) * static_cast<double>(time.count()))));
  };
  return TimeRange{end(range->low), end(range->high)};
}

// The range of a time between results, or of the time of a batch per input.
std::optional<TimeRange> period_range(const Plan& plan, Nanoseconds time) {
  return in_proportion(time, plan.predicted.bottleneck, bottleneck_range(plan.predicted));
}

// The time of a batch of one input is its latency.
std::optional<TimeRange> range_per_input(const Plan& plan, const Timeline& timeline) {
  if (timeline.results.size() > 1) return period_range(plan, timeline.time_per_input());
  return in_proportion(timeline.time_per_input(), plan.predicted.latency,
                       latency_range(plan.predicted));
}

std::optional<TimeRange> first_latency_range(const Plan& plan, const Timeline& timeline) {
  return in_proportion(timeline.latencies.front(), plan.predicted.latency,
                       latency_range(plan.predicted));
}

// Adds ranges to the document. Adds none if the plan has none.
void add_ranges(nlohmann::ordered_json& document, const Plan& plan, const Timeline& timeline,
                const TimelineOptions& options) {
  const auto each = range_per_input(plan, timeline);
  const auto first = first_latency_range(plan, timeline);
  if (!each || !first || !plan.predicted.range) return;
  const PredictionRange of_batch{*each, {}};
  const Nanoseconds steady = long_run(plan, timeline, options);
  document["time_per_input_range_ns"] = range_json(*each);
  document["steady_period_range_ns"] = range_json(*period_range(plan, steady));
  document["throughput_range_per_s"] = range_json(of_batch.throughput_per_s());
  document["first_latency_range_ns"] = range_json(*first);
}

std::string rate_text(Nanoseconds each, const std::optional<TimeRange>& range) {
  Prediction of_batch{.bottleneck = each};
  if (each.count() > 0) of_batch.throughput_per_s = 1 / to_s(each);
  if (range) of_batch.range = PredictionRange{*range, {}};
  return rate_with_range(of_batch);
}

double speedup(const Plan& plan, Nanoseconds each) {
  return each.count() > 0 ? to_s(plan.predicted.single_device) / to_s(each) : 0;
}

}  // namespace

Table simulate_table(const Plan& plan, const Timeline& timeline) {
  Table table;
  using Unit = Table::Unit;
  constexpr auto kRight = Table::Align::kRight;
  const std::uint32_t spare_host = plan.host_operators() == 0 && !plan.decoding ? 5 : 0;
  table.columns = {{"stage"},
                   {"replicas", kRight, Unit::kNone, "TPUs", 2},
                   {"on_chip_bytes", kRight, Unit::kBytes, "on-chip MiB", 3},
                   {"host_bytes", kRight, Unit::kBytes, "host MiB"},
                   {"fixed_ns", kRight, Unit::kTime, "fixed ms", 4},
                   {"input_ns", kRight, Unit::kTime, "input ms"},
                   {"compute_ns", kRight, Unit::kTime, "compute ms"},
                   {"streaming_ns", kRight, Unit::kTime, "streaming ms"},
                   {"output_ns", kRight, Unit::kTime, "output ms"},
                   {"host_ns", kRight, Unit::kTime, "on host ms", spare_host},
                   {"total_ns", kRight, Unit::kTime, "total ms"},
                   {"utilisation", kRight, Unit::kShare, "busy %"},
                   {"largest_queue", kRight, Unit::kNone, "largest queue", 6}};
  const auto add_row = [&](std::vector<std::string> row, const SegmentTime& time,
                           const StageStatistics& statistics) {
    for (const Nanoseconds part : {time.fixed, time.input, time.compute, time.streaming,
                                   time.output, time.host, time.total()})
      row.push_back(std::to_string(part.count()));
    row.push_back(fmt::format("{:.4f}", mean(statistics.utilisation)));
    row.push_back(std::to_string(statistics.largest_queue));
    table.rows.push_back(std::move(row));
  };
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    const Stage& stage = plan.stages[i];
    add_row({std::to_string(i), std::to_string(stage.replicas), std::to_string(stage.on_chip_bytes),
             std::to_string(stage.host_bytes)},
            stage.time, timeline.stages[i]);
  }
  if (plan.decoding)
    add_row({"host", "0", "-", "-"}, {.host = plan.decoding->time}, timeline.stages.back());
  return table;
}

std::string simulate_text(const Plan& plan, const Timeline& timeline,
                          const TimelineOptions& options, std::size_t width) {
  const Prediction& predicted = plan.predicted;
  const auto inputs = timeline.results.size();
  const Nanoseconds each = timeline.time_per_input();
  const std::size_t slowest = slowest_stage(plan);
  const std::uint32_t devices = plan.device_count();
  std::string text =
      fmt::format("{} on {} ({}), {}, {}; all times simulated\n\n", printable(plan.model.name),
                  format_count(devices, "Edge TPU"), printable(plan.device_text()),
                  plan.strategy_key(), format_count(inputs, "input"));
  text += simulate_table(plan, timeline).to_text(width) + "\n";
  text += fmt::format("{} in {}: {} each, {}; latency {} for the first, {} (p50), {} (p99).\n",
                      format_count(inputs, "input"), format_time(timeline.makespan),
                      with_range(each, range_per_input(plan, timeline)),
                      rate_text(each, range_per_input(plan, timeline)),
                      with_range(timeline.latencies.front(), first_latency_range(plan, timeline)),
                      format_time(percentile(timeline.latencies, 0.5)),
                      format_time(percentile(timeline.latencies, 0.99)));
  const Nanoseconds steady = long_run(plan, timeline, options);
  text += fmt::format(
      "One TPU: {} each ({:.2f} TOPS); speed-up {:.2f} for {}, {:.2f} in the long run.\n",
      format_time(predicted.single_device),
      tera_operations_per_s(plan.model.macs, predicted.single_device), speedup(plan, each),
      format_count(inputs, "input"), speedup(plan, steady));
  const bool shares = !options.shared.empty();
  text += bottleneck_sentence(plan, shares) + "\n";
  const Nanoseconds alone = plan.stages[slowest].time.total() / plan.stages[slowest].replicas;
  if (shares && steady > alone + alone / 50) {
    text += fmt::format(
        "Devices wait for shared resources: a result is ready every {}; the slowest stage alone "
        "would deliver one every {}.\n",
        format_time(steady), format_time(alone));
  }
  return text + host_operators_note(plan) + decoding_note(plan.decoding);
}

std::string simulate_json(const Plan& plan, const Timeline& timeline,
                          const TimelineOptions& options) {
  using json::rounded;
  nlohmann::ordered_json stages = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    const StageStatistics& statistics = timeline.stages[i];
    nlohmann::ordered_json utilisation = nlohmann::ordered_json::array();
    for (const double share : statistics.utilisation) utilisation.push_back(rounded(share));
    stages.push_back({{"index", i},
                      {"replicas", plan.stages[i].replicas},
                      {"on_chip_bytes", plan.stages[i].on_chip_bytes},
                      {"host_bytes", plan.stages[i].host_bytes},
                      {"host_operators", plan.stages[i].time.host_operators},
                      {"time_ns", time_json(plan.stages[i].time)},
                      {"utilisation", std::move(utilisation)},
                      {"largest_queue", statistics.largest_queue},
                      {"mean_queue", rounded(statistics.mean_queue)},
                      {"blocked_ns", statistics.blocked.count()}});
    if (plan.stages[i].range) stages.back()["time_range_ns"] = range_json(*plan.stages[i].range);
  }
  const Nanoseconds each = timeline.time_per_input();
  const double rate = each.count() > 0 ? 1 / to_s(each) : 0;
  nlohmann::ordered_json document = {
      {"schema", "segue.simulate/2"},
      {"kind", "simulated"},
      {"model", plan.model.name},
      {"device", plan.device_text()},
      {"strategy", plan.strategy_key()},
      {"inputs", timeline.results.size()},
      {"queue_capacity", options.queue_capacity},
      {"makespan_ns", timeline.makespan.count()},
      {"time_per_input_ns", each.count()},
      {"steady_period_ns", long_run(plan, timeline, options).count()},
      {"throughput_per_s", rounded(rate)},
      {"first_latency_ns", timeline.latencies.front().count()},
      {"mean_latency_ns", mean(timeline.latencies).count()},
      {"p50_latency_ns", percentile(timeline.latencies, 0.5).count()},
      {"p99_latency_ns", percentile(timeline.latencies, 0.99).count()},
      {"largest_latency_ns", std::ranges::max(timeline.latencies).count()},
      {"single_device_ns", plan.predicted.single_device.count()},
      {"speedup", rounded(to_s(plan.predicted.single_device) * rate)},
      {"tera_operations_per_s", rounded(tera_operations_per_s(plan.model.macs, each))},
      {"stages", std::move(stages)}};
  add_ranges(document, plan, timeline, options);
  if (plan.decoding) {
    const StageStatistics& statistics = timeline.stages.back();
    auto& decoding = document["decoding"] = decoding_json(*plan.decoding);
    decoding["utilisation"] = rounded(statistics.utilisation[0]);
    decoding["largest_queue"] = statistics.largest_queue;
    decoding["mean_queue"] = rounded(statistics.mean_queue);
  }
  return json::to_text(document);
}

}  // namespace segue
