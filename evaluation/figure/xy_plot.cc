#include <fmt/format.h>

#include <algorithm>

#include "evaluation/figure/canvas.h"
#include "evaluation/figure/figure.h"

namespace segue::figure {
namespace {

struct Box {
  double left, right, top, bottom;
};

double largest_of(const XyPlot& plot, double Point::*coordinate) {
  double largest = 0;
  for (const Series& series : plot.series) {
    for (const Point& point : series.points) largest = std::max(largest, point.*coordinate);
  }
  return largest;
}

struct Marked {
  std::vector<double> marks;
  double end;
};

// Returns the marks of an axis and its end, which is the last mark, the given end, or (`is_tight`)
// the largest value.
Marked marked(const Axis& axis, double largest, int count, bool is_tight) {
  const double to = axis.to.value_or(largest);
  if (axis.is_logarithmic) return {logarithmic_ticks(axis.from, to), to};
  Marked result{ticks(to, count), to};
  if (!axis.to && !is_tight) result.end = result.marks.back();
  std::erase_if(result.marks,
                [&](double mark) { return mark > result.end * 1.001 || mark < axis.from * 0.999; });
  return result;
}

void draw_axes(Canvas& canvas, const XyPlot& plot, const Box& box, const Scale& x, const Scale& y,
               const std::vector<double>& x_marks, const std::vector<double>& y_marks) {
  for (const double mark : y_marks) {
    canvas.line({box.left, y(mark)}, {box.right, y(mark)}, "rule");
    canvas.text({box.left - 6, y(mark) + 4}, fmt::format("{:g}", mark), Anchor::kEnd, "soft");
  }
  for (const double mark : x_marks) {
    canvas.line({x(mark), box.top}, {x(mark), box.bottom}, "rule");
    canvas.text({x(mark), box.bottom + 19}, fmt::format("{:g}", mark), Anchor::kMiddle, "soft");
  }
  canvas.line({box.left, box.bottom}, {box.right, box.bottom}, "axis");
  canvas.title({(box.left + box.right) / 2, box.bottom + 36}, plot.x.title, box.right);
  canvas.text_upwards({12, (box.top + box.bottom) / 2}, plot.y.title);
}

void draw_series(Canvas& canvas, const Series& series, const Scale& x, const Scale& y) {
  canvas.begin_series(series.key);
  if (series.marks == Marks::kLine) {
    std::string data;
    for (const Point& point : series.points)
      data += fmt::format("{}{:.1f} {:.1f}", data.empty() ? "M" : "L", x(point.x), y(point.y));
    canvas.path(data, fmt::format("fill='none' stroke='{}' stroke-width='2' stroke-dasharray='{}'",
                                  paint_of(series.look.paint), series.look.dash));
  } else {
    for (const Point& point : series.points)
      canvas.mark({x(point.x), y(point.y)}, series.look, 3.2, series.marks == Marks::kHollowPoints);
  }
  canvas.end_series();
}

Canvas::Entry entry_of(const Series& series) {
  using Sign = Canvas::Entry::Sign;
  switch (series.marks) {
    case Marks::kPoints:
      return {series.title, series.look, Sign::kMark};
    case Marks::kHollowPoints:
      return {series.title, series.look, Sign::kHollowMark};
    case Marks::kLine:
      break;
  }
  return {series.title, series.look, Sign::kLine};
}

}  // namespace

Drawing draw(const XyPlot& plot, double width) {
  Drawing drawing{plot.title, width, 0, ""};
  const Box box{52, width - 18, 12, plot.height - 48};
  const int x_count = std::max(3, static_cast<int>(width / 90));
  const Marked across = marked(plot.x, largest_of(plot, &Point::x), x_count, true);
  const Marked up = marked(plot.y, largest_of(plot, &Point::y), 5, false);
  const Scale x(plot.x.from, across.end, box.left, box.right, plot.x.is_logarithmic);
  const Scale y(plot.y.from, up.end, box.bottom, box.top, plot.y.is_logarithmic);
  Canvas canvas;
  draw_axes(canvas, plot, box, x, y, across.marks, up.marks);
  for (const Guide& guide : plot.guides) {
    const Point end{x(guide.to.x), y(guide.to.y)};
    canvas.line({x(guide.from.x), y(guide.from.y)}, end, guide.is_dashed ? "dashed" : "guide");
  }
  std::vector<Canvas::Entry> entries;
  for (const Series& series : plot.series) {
    draw_series(canvas, series, x, y);
    entries.push_back(entry_of(series));
  }
  drawing.height = plot.height + canvas.legend(box.left, plot.height, width - box.left, entries);
  drawing.content = canvas.content();
  return drawing;
}

}  // namespace segue::figure
