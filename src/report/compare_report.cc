#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "base/internal/json/node.h"
#include "plan/internal/time_json.h"
#include "report/internal/causes.h"
#include "report/internal/plan_words.h"
#include "segue/report.h"
#include "segue/units.h"

namespace segue {
namespace {

using json::rounded;

// Returns the speed-up over Google's cuts on the same number of TPUs, or an empty optional without
// a plan with these cuts.
std::optional<double> against_vendor(const ComparedPlan& row, std::span<const ComparedPlan> rows) {
  for (const ComparedPlan& other : rows) {
    if (other.tpus != row.tpus || other.plan.strategy != Strategy::kCompiler) continue;
    if (row.plan.predicted.bottleneck == Nanoseconds{0}) break;  // nothing runs on a TPU
    return to_s(other.plan.predicted.bottleneck) / to_s(row.plan.predicted.bottleneck);
  }
  return std::nullopt;
}

const char* cause_of_slowest(const Plan& plan) {
  if (is_decoding_bound(plan)) return "decoding";
  if (is_host_bound(plan)) return "host";
  return kCauseKeys.at(main_cause(plan.stages[slowest_stage(plan)].time));
}

std::string end_cell(const Prediction& predicted, Nanoseconds TimeRange::*end) {
  const auto range = bottleneck_range(predicted);
  return range ? std::to_string(((*range).*end).count()) : "-";
}

// Returns a sentence if a measurement may reverse the order of the fastest plan and others.
std::string overlaps(const ComparedPlan& fastest, std::span<const ComparedPlan> rows) {
  std::vector<const Plan*> others;
  for (const ComparedPlan& row : rows) others.push_back(&row.plan);
  return overlap_sentence(fastest.plan, others, [&](const Plan& plan) {
    const auto row =
        std::ranges::find(rows, &plan, [](const ComparedPlan& one) { return &one.plan; });
    return fmt::format("{} on {}", plan.strategy_key(), format_count(row->tpus, "TPU"));
  });
}

// Names the fastest plan and the command that makes it.
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

// Whether every strategy that has a row has one for each number of TPUs.
bool is_complete(std::span<const ComparedPlan> rows) {
  std::set<std::string> keys;
  for (const ComparedPlan& row : rows) keys.insert(row.plan.strategy_key());
  return rows.size() == keys.size() * (rows.back().tpus - rows.front().tpus + 1);
}

// Explains the titles of the columns that fit the width.
std::string legend(const Table& table, std::size_t width) {
  constexpr std::array<std::pair<std::string_view, const char*>, 6> kMeanings{
      {{"replicas", "stages: TPUs of each stage."},
       {"host_ns", "on host ms: time of operators that run on the host, summed over all stages."},
       {"efficiency", "per TPU %: speed-up over one TPU, divided by the TPUs used."},
       {"pareto", "*: Pareto-optimal in throughput, latency and number of TPUs."},
       {"bottleneck_low_ns",
        "low ms, high ms: the range of ms; about nine in ten measurements are within it "
        "(docs/accuracy.md)."},
       {"slowest_cause", "cause: the part that takes most of the time of the slowest stage."}}};
  const std::vector<bool> shown = table.columns_shown(width);
  std::string text;
  for (const auto& [title, meaning] : kMeanings) {
    const auto column = std::ranges::find(table.columns, title, &Table::Column::title);
    if (shown[static_cast<std::size_t>(column - table.columns.begin())])
      text += std::string(meaning) + "\n";
  }
  return text;
}

}  // namespace

Table compare_table(std::span<const ComparedPlan> rows) {
  Table table;
  using Unit = Table::Unit;
  constexpr auto kLeft = Table::Align::kLeft;
  constexpr auto kRight = Table::Align::kRight;
  table.columns = {{"tpus"},
                   {"strategy", kLeft},
                   {"replicas", kLeft, Unit::kNone, "stages"},
                   {"host_bytes", kRight, Unit::kBytes, "host MiB"},
                   {"host_ns", kRight, Unit::kTime, "on host ms", 5},
                   {"throughput_per_s", kRight, Unit::kNone, "per s"},
                   {"bottleneck_ns", kRight, Unit::kTime, "ms"},
                   {"bottleneck_low_ns", kRight, Unit::kTime, "low ms", 4},
                   {"bottleneck_high_ns", kRight, Unit::kTime, "high ms", 4},
                   {"latency_ns", kRight, Unit::kTime, "latency ms"},
                   {"speedup"},
                   {"speedup_vs_compiler", kRight, Unit::kNone, "vs compiler", 3},
                   {"efficiency", kRight, Unit::kShare, "per TPU %", 6},
                   {"pareto", kLeft, Unit::kNone, "*"},
                   {"slowest_stage", kRight, Unit::kNone, "slowest", 7},
                   {"slowest_cause", kLeft, Unit::kNone, "cause", 2}};
  for (const ComparedPlan& row : rows) {
    const Prediction& predicted = row.plan.predicted;
    const auto against = against_vendor(row, rows);
    table.rows.push_back(
        {std::to_string(row.tpus), row.plan.strategy_key(), replicas_text(row.plan),
         std::to_string(row.plan.host_bytes()), std::to_string(row.plan.host_time().count()),
         fmt::format("{:.1f}", predicted.throughput_per_s),
         std::to_string(predicted.bottleneck.count()), end_cell(predicted, &TimeRange::low),
         end_cell(predicted, &TimeRange::high), std::to_string(predicted.latency.count()),
         fmt::format("{:.2f}", predicted.speedup), against ? fmt::format("{:.2f}", *against) : "-",
         fmt::format("{:.4f}", predicted.speedup / row.plan.device_count()),
         is_on_front(row, rows) ? "*" : "", std::to_string(slowest_stage(row.plan)),
         cause_of_slowest(row.plan)});
  }
  return table;
}

std::string compare_text(const std::string& model, std::span<const ComparedPlan> rows,
                         std::size_t width) {
  if (rows.empty()) return "";
  const Table table = compare_table(rows);
  return fmt::format("{} on {}; all numbers simulated\n\n", printable(model),
                     printable(rows.back().plan.device_text())) +
         table.to_text(width) + "\n" + legend(table, width) +
         (is_complete(rows)
              ? ""
              : "Missing rows: the strategy cannot split this model into that many segments.\n") +
         next_step(rows) + decoding_note(rows[0].plan.decoding);
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
  nlohmann::ordered_json document{{"schema", "segue.compare/2"},
                                  {"kind", "simulated"},
                                  {"model", model},
                                  {"device", rows.empty() ? "" : rows[0].plan.device_text()},
                                  {"rows", std::move(list)}};
  if (!rows.empty() && rows[0].plan.decoding)
    document["decoding"] = decoding_json(*rows[0].plan.decoding);
  return json::to_text(document);
}

}  // namespace segue
