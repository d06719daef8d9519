#include <fmt/format.h>

#include <algorithm>

#include "evaluation/figure/canvas.h"
#include "evaluation/figure/figure.h"

namespace segue::figure {

Drawing draw(const Lanes& chart, double width) {
  constexpr double kLane = 30;
  constexpr double kTop = 8;
  Drawing drawing{chart.title, width, 0, ""};
  double left = 0;
  for (const std::string& name : chart.names) left = std::max(left, width_of(name) + 10);
  const double right = width - 12;
  const double bottom = kTop + kLane * static_cast<double>(chart.names.size());
  double end = 0;
  for (const Lanes::Span& span : chart.spans) end = std::max(end, span.end);
  const auto marks = ticks(end, std::max(3, static_cast<int>(width / 90)));
  const Scale x(0, marks.back(), left, right);
  const auto top_of = [&](std::size_t lane) { return kTop + kLane * static_cast<double>(lane); };
  Canvas canvas;
  for (const double mark : marks) {
    canvas.line({x(mark), kTop}, {x(mark), bottom}, "rule");
    canvas.text({x(mark), bottom + 16}, fmt::format("{:g}", mark), Anchor::kMiddle, "soft");
  }
  for (std::size_t lane = 0; lane < chart.names.size(); ++lane)
    canvas.text({left - 8, top_of(lane) + kLane / 2 + 4}, chart.names[lane], Anchor::kEnd);
  for (const Lanes::Span& span : chart.spans) {
    canvas.rect({x(span.begin), top_of(span.lane) + 3}, std::max(0.4, x(span.end) - x(span.begin)),
                kLane - 6, paint_of(chart.causes[span.cause].paint));
  }
  for (const Lanes::Label& label : chart.labels) {
    if (x(label.end) - x(label.begin) < width_of(label.text) + 4) continue;
    canvas.text({(x(label.begin) + x(label.end)) / 2, top_of(label.lane) + kLane / 2 + 4},
                label.text, Anchor::kMiddle, "inside");
  }
  canvas.text({(left + right) / 2, bottom + 32}, chart.axis, Anchor::kMiddle, "soft");
  std::vector<Canvas::Entry> entries;
  for (const Lanes::Cause& cause : chart.causes)
    entries.push_back({cause.title, {cause.paint}, Canvas::Entry::Sign::kPaint});
  drawing.height = bottom + 44 + canvas.legend(12, bottom + 44, width - 12, entries);
  drawing.content = canvas.content();
  return drawing;
}

}  // namespace segue::figure
