#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "segue/report.h"
#include "segue/units.h"

namespace segue {

Table sweep_table(std::span<const SweepRow> rows) {
  Table table;
  using Unit = Table::Unit;
  constexpr auto kLeft = Table::Align::kLeft;
  constexpr auto kRight = Table::Align::kRight;
  table.columns = {{"model", kLeft},
                   {"device", kLeft},
                   {"tpus"},
                   {"strategy", kLeft},
                   {"replicas", kLeft, Unit::kNone, "stages"},
                   {"host_bytes", kRight, Unit::kBytes, "host MiB"},
                   {"host_ns", kRight, Unit::kTime, "on host ms", 4},
                   {"largest_segment_bytes", kRight, Unit::kBytes, "largest MiB", 3},
                   {"throughput_per_s", kRight, Unit::kNone, "per s"},
                   {"bottleneck_ns", kRight, Unit::kTime, "ms"},
                   {"bottleneck_low_ns", kRight, Unit::kTime, "low ms", 2},
                   {"bottleneck_high_ns", kRight, Unit::kTime, "high ms", 2},
                   {"latency_ns", kRight, Unit::kTime, "latency ms"},
                   {"speedup", kRight, Unit::kNone, "", 1}};
  for (const SweepRow& row : rows) {
    std::vector<std::string> cells{printable(row.model), printable(row.device),
                                   std::to_string(row.tpus), row.strategy};
    if (row.is_feasible()) {
      const auto ns = [](Nanoseconds time) { return std::to_string(time.count()); };
      cells.insert(cells.end(),
                   {fmt::format("{}", fmt::join(row.replicas, "+")), std::to_string(row.host_bytes),
                    ns(row.host_time), std::to_string(row.largest_segment_bytes),
                    fmt::format("{:.1f}", row.throughput_per_s), ns(row.bottleneck),
                    ns(row.range.bottleneck.low), ns(row.range.bottleneck.high), ns(row.latency),
                    fmt::format("{:.2f}", row.speedup)});
    } else {
      cells.resize(table.columns.size(), "-");
    }
    table.rows.push_back(std::move(cells));
  }
  return table;
}

std::string sweep_text(std::span<const SweepRow> rows, std::size_t width) {
  if (rows.empty()) return "";
  const auto without =
      std::ranges::count_if(rows, [](const SweepRow& row) { return !row.is_feasible(); });
  std::string text = sweep_table(rows).to_text(width) + "\n";
  text += fmt::format(
      "Sweep {}: {} of {}; all numbers simulated. stages: TPUs of each stage. on host ms: time of "
      "operators that run on the host (estimated). low ms, high ms: the range of ms.\n",
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
