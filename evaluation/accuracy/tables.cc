#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "evaluation/accuracy/accuracy.h"

namespace segue {
namespace {

AccuracySummary summary(const std::vector<AccuracyRow>& rows, bool only_held_out) {
  AccuracySummary result;
  std::size_t large_rows = 0;
  for (const AccuracyRow& row : rows) {
    if (only_held_out && !row.is_held_out) continue;
    ++result.rows;
    if (row.is_small) {
      result.worst_difference_ms =
          std::max(result.worst_difference_ms, std::abs(row.difference_ms()));
      continue;
    }
    ++large_rows;
    result.mean_share += std::abs(row.share());
    result.worst_share = std::max(result.worst_share, std::abs(row.share()));
  }
  if (large_rows > 0) result.mean_share /= static_cast<double>(large_rows);
  return result;
}

std::string cells(const AccuracySummary& summary) {
  return fmt::format("{} | {:.1f} % | {:.1f} % | {}", summary.rows, 100 * summary.mean_share,
                     100 * summary.worst_share,
                     summary.worst_difference_ms > 0
                         ? fmt::format("{:.2f}", summary.worst_difference_ms)
                         : std::string("–"));
}

const AccuracySeries& find_series(std::span<const AccuracySeries> series, std::string_view key) {
  return *std::ranges::find(series, key, &AccuracySeries::key);
}

}  // namespace

std::string_view to_string(AccuracyRole role) {
  switch (role) {
    case AccuracyRole::kFitted:
      return "fitted";
    case AccuracyRole::kLookedAt:
      return "looked at";
    case AccuracyRole::kPredicted:
      return "predicted";
    case AccuracyRole::kSeen:
      return "seen";
    case AccuracyRole::kAlternative:
      return "alternative";
  }
  return "unknown";
}

AccuracySummary AccuracySeries::all() const { return summary(rows, false); }
AccuracySummary AccuracySeries::held_out() const { return summary(rows, true); }

std::string accuracy_markdown(std::span<const AccuracySeries> series) {
  std::string text =
      "| measured | role | rows held out | mean | worst | small, ms | all rows | mean | worst | "
      "small, ms |\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|\n";
  for (const AccuracySeries& one : series)
    text += fmt::format("| {} | {} | {} | {} |\n", one.title, to_string(one.role),
                        cells(one.held_out()), cells(one.all()));
  return text;
}

std::string speedup_markdown(std::span<const AccuracySeries> series) {
  const AccuracySeries& one = find_series(series, "conv_sweep");
  const AccuracySeries& two = find_series(series, "pipeline_k2_b100");
  const AccuracySeries& four = find_series(series, "pipeline_k4_b100");
  constexpr std::size_t kStep = 6;
  std::string text =
      "| filters | 2 TPUs measured | simulated | 4 TPUs measured | simulated |\n"
      "|---|--:|--:|--:|--:|\n";
  for (std::size_t i = 0; i < two.rows.size(); i += kStep) {
    const AccuracyRow& base = one.rows[i];
    const auto cells = [&](const AccuracyRow& row) {
      return fmt::format("{:.2f} | {:.2f}", base.measured_ms / row.measured_ms,
                         base.predicted_ms / row.predicted_ms);
    };
    text += fmt::format("| {} | {} | {} |\n", base.label.substr(2), cells(two.rows[i]),
                        cells(four.rows[i]));
  }
  return text;
}

}  // namespace segue
