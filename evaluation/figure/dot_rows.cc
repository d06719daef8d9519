#include <fmt/format.h>

#include <algorithm>

#include "evaluation/figure/canvas.h"
#include "evaluation/figure/figure.h"

namespace segue::figure {
namespace {

constexpr double kRow = 22;
constexpr double kTop = 8;

double left_of(const DotRows& chart, double width) {
  double longest = 0;
  for (const std::string& row : chart.rows) longest = std::max(longest, width_of(row));
  return std::min(longest + 8, width * 0.4);
}

double largest_of(const DotRows& chart) {
  double largest = 0;
  for (const DotRows::Series& series : chart.series) {
    for (const auto& value : series.values) largest = std::max(largest, value.value_or(0));
  }
  return largest;
}

}  // namespace

Drawing draw(const DotRows& chart, double width) {
  Drawing drawing{chart.title, width, 0, ""};
  const double left = left_of(chart, width);
  const double right = width - 12;
  const double bottom = kTop + kRow * static_cast<double>(chart.rows.size());
  const auto marks = ticks(largest_of(chart), std::max(3, static_cast<int>((right - left) / 80)));
  const Scale x(0, marks.back(), left, right);
  Canvas canvas;
  for (const double mark : marks) {
    canvas.line({x(mark), kTop}, {x(mark), bottom}, mark == 0 ? "axis" : "rule");
    canvas.text({x(mark), bottom + 16}, fmt::format("{:g}", mark), Anchor::kMiddle, "soft");
  }
  for (std::size_t row = 0; row < chart.rows.size(); ++row) {
    const double y = kTop + kRow * (static_cast<double>(row) + 0.5);
    canvas.line({left, y}, {right, y}, "rule");
    canvas.text({left - 8, y + 4}, chart.rows[row], Anchor::kEnd);
    if (row < chart.limits.size()) {
      const double limit = x(chart.limits[row]);
      canvas.line({limit, y - kRow / 2 + 3}, {limit, y + kRow / 2 - 3}, "guide");
    }
  }
  std::vector<Canvas::Entry> entries;
  for (const DotRows::Series& series : chart.series) {
    canvas.begin_series(series.key);
    for (std::size_t row = 0; row < series.values.size(); ++row) {
      const double y = kTop + kRow * (static_cast<double>(row) + 0.5);
      if (series.values[row]) canvas.mark({x(*series.values[row]), y}, series.look, 4.5, false);
    }
    canvas.end_series();
    entries.push_back({series.title, series.look, Canvas::Entry::Sign::kMark});
  }
  if (!chart.limits.empty())
    entries.push_back({chart.limit_title, {"soft"}, Canvas::Entry::Sign::kUpright});
  canvas.title({(left + right) / 2, bottom + 32}, chart.axis, right);
  drawing.height = bottom + 44 + canvas.legend(12, bottom + 44, width - 12, entries);
  drawing.content = canvas.content();
  return drawing;
}

}  // namespace segue::figure
