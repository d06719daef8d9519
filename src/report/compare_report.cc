#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <tuple>

#include "base/json/node.h"
#include "plan/time_json.h"
#include "report/causes.h"
#include "report/plan_words.h"
#include "segue/report.h"
#include "segue/units.h"

namespace segue {
namespace {

using json::rounded;

// Against Google's cuts on as many TPUs, where they exist.
std::optional<double> against_vendor(const ComparedPlan& row, std::span<const ComparedPlan> rows) {
  for (const ComparedPlan& other : rows) {
    if (other.tpus != row.tpus || other.plan.strategy != Strategy::kCompiler) continue;
    if (row.plan.predicted.bottleneck == Nanoseconds{0}) break;  // nothing runs on a TPU
    return to_s(other.plan.predicted.bottleneck) / to_s(row.plan.predicted.bottleneck);
  }
  return std::nullopt;
}

const char* cause_of_slowest(const Plan& plan) {
  if (is_host_bound(plan)) return "host";
  return kCauseKeys.at(main_cause(plan.stages[slowest_stage(plan)].time));
}

std::string end_cell(const Prediction& predicted, Nanoseconds TimeRange::*end) {
  const auto range = bottleneck_range(predicted);
  return range ? format_ms((*range).*end) : "-";
}

// Where a measurement may reverse the order of the fastest plan and others.
std::string overlaps(const ComparedPlan& fastest, std::span<const ComparedPlan> rows) {
  std::vector<const Plan*> others;
  for (const ComparedPlan& row : rows) others.push_back(&row.plan);
  return overlap_sentence(fastest.plan, others, [&](const Plan& plan) {
    const auto row =
        std::ranges::find(rows, &plan, [](const ComparedPlan& one) { return &one.plan; });
    return fmt::format("{} on {}", plan.strategy_key(), format_count(row->tpus, "TPU"));
  });
}

// What to do with the table.
std::string next_step(std::span<const ComparedPlan> rows) {
  const auto fastest = std::ranges::min_element(rows, {}, [](const ComparedPlan& row) {
    return std::tuple(row.plan.predicted.bottleneck, row.plan.device_count(),
                      row.plan.predicted.latency);
  });
  std::string text = fmt::format(
      "Fastest: {} on {}, {} (`segue plan` with --tpus {} --strategy {}).",
      fastest->plan.strategy_key(), format_count(fastest->plan.device_count(), "TPU"),
      rate_with_range(fastest->plan.predicted), fastest->tpus, fastest->plan.strategy_key());
  const auto resident = std::ranges::find_if(
      rows, [](const ComparedPlan& row) { return row.plan.host_bytes() == 0; });
  if (resident != rows.end() && resident->tpus > rows.front().tpus)
    text += fmt::format(" {} TPUs are the fewest without off-chip parameters.", resident->tpus);
  const std::string line = overlaps(*fastest, rows);
  return text + "\n" + (line.empty() ? "" : line + "\n");
}

// Whether every strategy has a row for every number of TPUs.
bool is_complete(std::span<const ComparedPlan> rows) {
  std::set<std::string> keys;
  for (const StrategyRow& row : strategy_table()) keys.emplace(row.key);
  for (const ComparedPlan& row : rows) keys.insert(row.plan.strategy_key());
  return rows.size() == keys.size() * (rows.back().tpus - rows.front().tpus + 1);
}

}  // namespace

Table compare_table(std::span<const ComparedPlan> rows) {
  Table table;
  table.columns = {{"tpus"},
                   {"strategy", Table::Align::kLeft},
                   {"stages", Table::Align::kLeft},
                   {"host_MiB"},
                   {"on_host_ms"},
                   {"per_s"},
                   {"ms"},
                   {"low_ms"},
                   {"high_ms"},
                   {"latency_ms"},
                   {"speedup"},
                   {"vs_compiler"},
                   {"per_tpu_%"},
                   {"front", Table::Align::kLeft},
                   {"slowest"},
                   {"cause", Table::Align::kLeft}};
  for (const ComparedPlan& row : rows) {
    const Prediction& predicted = row.plan.predicted;
    const auto against = against_vendor(row, rows);
    table.rows.push_back(
        {std::to_string(row.tpus), row.plan.strategy_key(), replicas_text(row.plan),
         format_mib(row.plan.host_bytes()), format_ms(row.plan.host_time()),
         fmt::format("{:.1f}", predicted.throughput_per_s), format_ms(predicted.bottleneck),
         end_cell(predicted, &TimeRange::low), end_cell(predicted, &TimeRange::high),
         format_ms(predicted.latency), fmt::format("{:.2f}", predicted.speedup),
         against ? fmt::format("{:.2f}", *against) : "-",
         fmt::format("{:.0f}", 100 * predicted.speedup / row.plan.device_count()),
         is_on_front(row, rows) ? "*" : "", std::to_string(slowest_stage(row.plan)),
         cause_of_slowest(row.plan)});
  }
  return table;
}

std::string compare_text(const std::string& model, std::span<const ComparedPlan> rows) {
  if (rows.empty()) return "";
  return fmt::format("{} on {}; all numbers simulated\n\n", printable(model),
                     printable(rows.back().plan.device_text())) +
         compare_table(rows).to_text() +
         "\nstages: TPUs of each stage. on_host_ms: time of operators that run on the host, summed "
         "over all stages. per_tpu_%: speed-up over one TPU, divided by the TPUs used.\n" +
         (is_complete(rows)
              ? ""
              : "Missing rows: the strategy cannot split this model into that many segments.\n") +
         "*: Pareto-optimal in throughput, latency and number of TPUs.\nlow_ms, high_ms: the range "
         "of ms; about nine in ten measurements are within it (docs/accuracy.md).\nslowest, cause: "
         "the slowest stage, and the part that takes most of its time.\n" +
         next_step(rows);
}

std::string compare_json(const std::string& model, std::span<const ComparedPlan> rows) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const ComparedPlan& row : rows) {
    const Prediction& predicted = row.plan.predicted;
    const auto against = against_vendor(row, rows);
    nlohmann::ordered_json& one = list.emplace_back(nlohmann::ordered_json{
        {"tpus", row.tpus},
        {"strategy", row.plan.strategy_key()},
        {"stages", row.plan.stages.size()},
        {"replicas", replicas_of(row.plan)},
        {"throughput_per_s", rounded(predicted.throughput_per_s)},
        {"latency_ns", predicted.latency.count()},
        {"bottleneck_ns", predicted.bottleneck.count()},
        {"host_bytes", row.plan.host_bytes()},
        {"host_operators", row.plan.host_operators()},
        {"host_ns", row.plan.host_time().count()},
        {"speedup", rounded(predicted.speedup)},
        {"speedup_vs_compiler",
         against ? nlohmann::ordered_json(rounded(*against)) : nlohmann::ordered_json(nullptr)},
        {"efficiency", rounded(predicted.speedup / row.plan.device_count())},
        {"pareto", is_on_front(row, rows)},
        {"slowest_stage", slowest_stage(row.plan)},
        {"slowest_cause", cause_of_slowest(row.plan)}});
    if (predicted.range) one.update(range_keys_json(*predicted.range));
  }
  return json::to_text({{"schema", "segue.compare/2"},
                        {"kind", "simulated"},
                        {"model", model},
                        {"device", rows.empty() ? "" : rows[0].plan.device_text()},
                        {"rows", std::move(list)}});
}

}  // namespace segue
