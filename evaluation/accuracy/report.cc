#include "segue/report.h"

#include <fmt/format.h>

#include <array>

#include "base/internal/json/node.h"
#include "evaluation/accuracy/accuracy_figure.h"

namespace segue {
namespace {

nlohmann::ordered_json summary_json(const AccuracySummary& summary) {
  using json::rounded;
  return {{"rows", summary.rows},
          {"mean_share", rounded(summary.mean_share)},
          {"worst_share", rounded(summary.worst_share)},
          {"worst_difference_ms", rounded(summary.worst_difference_ms)}};
}

}  // namespace

Table accuracy_table(std::span<const AccuracySeries> series) {
  Table table;
  table.columns = {{"series", Table::Align::kLeft},
                   {"row", Table::Align::kLeft},
                   {"measured_ms"},
                   {"simulated_ms"},
                   {"error_%"},
                   {"held_out"}};
  for (const AccuracySeries& one : series) {
    for (const AccuracyRow& row : one.rows) {
      table.rows.push_back({one.key, row.label, fmt::format("{:.4g}", row.measured_ms),
                            fmt::format("{:.4g}", row.predicted_ms),
                            fmt::format("{:+.1f}", 100 * row.share()),
                            row.is_held_out ? "yes" : "no"});
    }
  }
  return table;
}

std::string accuracy_json(std::span<const AccuracySeries> series) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const AccuracySeries& one : series) {
    nlohmann::ordered_json rows = nlohmann::ordered_json::array();
    for (const AccuracyRow& row : one.rows) {
      rows.push_back({{"label", row.label},
                      {"measured_ms", row.measured_ms},
                      {"simulated_ms", json::rounded(row.predicted_ms)},
                      {"held_out", row.is_held_out}});
    }
    list.push_back({{"key", one.key},
                    {"title", one.title},
                    {"source", one.source},
                    {"device", one.device},
                    {"role", to_string(one.role)},
                    {"held_out", summary_json(one.held_out())},
                    {"all", summary_json(one.all())},
                    {"rows", std::move(rows)}});
  }
  return json::to_text({{"schema", "segue.accuracy/2"}, {"series", std::move(list)}});
}

figure::XyPlot accuracy_figure(std::span<const AccuracySeries> series) {
  constexpr double kSmallestMs = 0.05;
  constexpr double kLargestMs = 1000;
  constexpr std::array kPaints{"optimal", "streaming", "output", "balanced", "input", "fixed"};
  using figure::Shape;
  constexpr std::array kShapes{Shape::kCircle, Shape::kSquare, Shape::kTriangle, Shape::kDiamond};
  figure::XyPlot plot{"Simulated against measured times",
                      {"measured, ms", true, kSmallestMs, kLargestMs},
                      {"simulated, ms", true, kSmallestMs, kLargestMs},
                      {},
                      {},
                      520};
  for (const AccuracySeries& one : series) {
    if (one.role == AccuracyRole::kAlternative) continue;
    const std::size_t at = plot.series.size();
    figure::Series points{one.key,
                          one.title,
                          {kPaints.at(at % kPaints.size()), kShapes.at(at % kShapes.size()), ""},
                          figure::Marks::kPoints,
                          {}};
    for (const AccuracyRow& row : one.rows)
      points.points.push_back({row.measured_ms, row.predicted_ms});
    plot.series.push_back(std::move(points));
  }
  plot.guides = {{{kSmallestMs, kSmallestMs}, {kLargestMs, kLargestMs}, false},
                 {{kSmallestMs, 1.1 * kSmallestMs}, {kLargestMs / 1.1, kLargestMs}, true},
                 {{1.1 * kSmallestMs, kSmallestMs}, {kLargestMs, kLargestMs / 1.1}, true}};
  return plot;
}

std::string accuracy_plot(std::span<const AccuracySeries> series) {
  constexpr double kWidth = 760;
  return figure::file_of(figure::draw(accuracy_figure(series), kWidth));
}

}  // namespace segue
