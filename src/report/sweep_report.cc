#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "segue/report.h"
#include "segue/units.h"

namespace segue {

Table sweep_table(std::span<const SweepRow> rows) {
  Table table;
  table.columns = {{"model", Table::Align::kLeft},
                   {"device", Table::Align::kLeft},
                   {"tpus"},
                   {"strategy", Table::Align::kLeft},
                   {"stages", Table::Align::kLeft},
                   {"host_MiB"},
                   {"on_host_ms"},
                   {"largest_MiB"},
                   {"per_s"},
                   {"ms"},
                   {"low_ms"},
                   {"high_ms"},
                   {"latency_ms"},
                   {"speedup"}};
  for (const SweepRow& row : rows) {
    std::vector<std::string> cells{printable(row.model), printable(row.device),
                                   std::to_string(row.tpus), row.strategy};
    if (row.is_feasible()) {
      cells.insert(cells.end(),
                   {fmt::format("{}", fmt::join(row.replicas, "+")), format_mib(row.host_bytes),
                    format_ms(row.host_time), format_mib(row.largest_segment_bytes),
                    fmt::format("{:.1f}", row.throughput_per_s), format_ms(row.bottleneck),
                    format_ms(row.range.bottleneck.low), format_ms(row.range.bottleneck.high),
                    format_ms(row.latency), fmt::format("{:.2f}", row.speedup)});
    } else {
      cells.resize(table.columns.size(), "-");
    }
    table.rows.push_back(std::move(cells));
  }
  return table;
}

std::string sweep_text(std::span<const SweepRow> rows) {
  if (rows.empty()) return "";
  const auto without =
      std::ranges::count_if(rows, [](const SweepRow& row) { return !row.is_feasible(); });
  std::string text = sweep_table(rows).to_text() + "\n";
  text += fmt::format(
      "Sweep {}: {} of {}; all numbers simulated. stages: TPUs of each stage. on_host_ms: time of "
      "operators that run on the host (estimated). low_ms, high_ms: the range of ms.\n",
      printable(rows.front().sweep), rows.size(), format_count(rows.front().jobs, "job"));
  if (without > 0) {
    text += fmt::format(
        "{} without a plan (-): the model cannot be split into that many segments, or for another "
        "reason (see --ndjson).\n",
        without);
  }
  return text;
}

}  // namespace segue
