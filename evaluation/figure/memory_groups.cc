#include <fmt/format.h>

#include <algorithm>

#include "evaluation/figure/canvas.h"
#include "evaluation/figure/figure.h"

namespace segue::figure {
namespace {

constexpr double kBar = 16;
constexpr double kGap = 4;
constexpr double kBetweenGroups = 22;
constexpr double kStrip = 74;  // height of the largest bar of a strip
constexpr double kTitle = 20;

double width_of_group(const MemoryGroups::Group& group) {
  double width = width_of(group.title);
  for (const MemoryGroups::Strip& strip : group.strips)
    width = std::max(width, (kBar + kGap) * static_cast<double>(strip.bars.size()));
  return width;
}

double largest_of(const MemoryGroups& chart) {
  double largest = chart.capacity;
  for (const MemoryGroups::Group& group : chart.groups) {
    for (const MemoryGroups::Strip& strip : group.strips) {
      for (const MemoryGroups::Bar& bar : strip.bars)
        largest = std::max(largest, bar.on_chip + bar.host);
    }
  }
  return largest;
}

void draw_strip(Canvas& canvas, const MemoryGroups::Strip& strip, Point corner, const Scale& height,
                double capacity) {
  const double bottom = corner.y + kStrip;
  canvas.begin_series(strip.key);
  double left = corner.x;
  for (const MemoryGroups::Bar& bar : strip.bars) {
    const double chip = height(bar.on_chip);
    const double host = height(bar.host);
    canvas.rect({left, bottom - chip}, kBar, chip, paint_of("compute"));
    if (bar.host > 0) canvas.rect({left, bottom - chip - host}, kBar, host, paint_of("striped"));
    left += kBar + kGap;
  }
  canvas.end_series();
  canvas.line({corner.x, bottom}, {left - kGap, bottom}, "axis");
  canvas.line({corner.x - 2, bottom - height(capacity)},
              {left - kGap + 2, bottom - height(capacity)}, "dashed");
}

}  // namespace

Drawing draw(const MemoryGroups& chart, double width) {
  Drawing drawing{chart.title, width, 0, ""};
  Canvas canvas;
  const Scale height(0, largest_of(chart), 0, kStrip);
  const auto& titles = chart.groups.front().strips;
  double left = 0;
  for (const MemoryGroups::Strip& strip : titles) left = std::max(left, width_of(strip.title) + 10);
  const double line = kTitle + (kStrip + kGap) * static_cast<double>(titles.size()) + 10;
  Point at{width, -line};
  for (const MemoryGroups::Group& group : chart.groups) {
    const double needed = width_of_group(group);
    if (at.x + needed > width) {
      at = {left, at.y + line};
      for (std::size_t s = 0; s < titles.size(); ++s) {
        canvas.text({left - 8, at.y + kTitle + (kStrip + kGap) * static_cast<double>(s) + kStrip},
                    titles[s].title, Anchor::kEnd, "soft");
      }
    }
    canvas.text({at.x, at.y + kTitle - 6}, group.title);
    for (std::size_t s = 0; s < group.strips.size(); ++s) {
      draw_strip(canvas, group.strips[s],
                 {at.x, at.y + kTitle + (kStrip + kGap) * static_cast<double>(s)}, height,
                 chart.capacity);
    }
    at.x += needed + kBetweenGroups;
  }
  const double bottom = at.y + line + 4;
  using Sign = Canvas::Entry::Sign;
  const std::string holds = fmt::format("dashed: a TPU holds {:.2f} MiB", chart.capacity);
  drawing.height =
      bottom + canvas.legend(0, bottom, width,
                             {{"on chip", {"compute"}, Sign::kPaint},
                              {"streamed at each inference", {"striped"}, Sign::kPaint},
                              {holds, {"soft", Shape::kCircle, "5 3"}, Sign::kLine}});
  drawing.content = canvas.content();
  return drawing;
}

}  // namespace segue::figure
