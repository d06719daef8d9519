#include "evaluation/figure/canvas.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/internal/json/node.h"

namespace segue::figure {
namespace {

constexpr double kCharacter = 7.8;  // a little more than the mean width in sans-serif of 12 pixels
constexpr double kLegendLine = 20;
constexpr double kSignWidth = 26;

std::string shape_path(Shape shape, Point at, double size) {
  const double s = size;
  switch (shape) {
    case Shape::kSquare:
      return fmt::format("M{:.1f} {:.1f}h{:.1f}v{:.1f}h{:.1f}z", at.x - s, at.y - s, 2 * s, 2 * s,
                         -2 * s);
    case Shape::kTriangle:
      return fmt::format("M{:.1f} {:.1f}l{:.1f} {:.1f}h{:.1f}z", at.x, at.y - 1.2 * s, 1.15 * s,
                         2.1 * s, -2.3 * s);
    case Shape::kDiamond:
      return fmt::format("M{:.1f} {:.1f}l{:.1f} {:.1f}l{:.1f} {:.1f}l{:.1f} {:.1f}z", at.x,
                         at.y - 1.4 * s, 1.4 * s, 1.4 * s, -1.4 * s, 1.4 * s, -1.4 * s, -1.4 * s);
    case Shape::kCircle:
      break;
  }
  return fmt::format("M{:.1f} {:.1f}a{:.1f} {:.1f} 0 1 0 {:.1f} 0a{:.1f} {:.1f} 0 1 0 {:.1f} 0z",
                     at.x - s, at.y, s, s, 2 * s, s, s, -2 * s);
}

const char* to_string(Anchor anchor) {
  switch (anchor) {
    case Anchor::kMiddle:
      return "middle";
    case Anchor::kEnd:
      return "end";
    case Anchor::kStart:
      break;
  }
  return "start";
}

// The colours for light and dark are those of src/report/page/page.css.
constexpr const char* kStyle =
    ".figure{--paper:#fff;--ink:#1b1f24;--soft:#57606a;--line:#d5dae0;--faint:#eaedf1;"
    "--compute:#0072b2;--streaming:#d55e00;--input:#56b4e9;--output:#009e73;--fixed:#9aa3ad;"
    "--compiler:#d55e00;--balanced:#8a63a8;--profile:#009e73;--optimal:#0072b2}"
    "@media(prefers-color-scheme:dark){.figure{--paper:#161b22;--ink:#e6edf3;--soft:#9aa6b2;"
    "--line:#3a424d;--faint:#232a33;--compute:#4aa3df;--streaming:#ff8c42;--input:#a5d8f6;"
    "--output:#35c99a;--fixed:#7d8894;--compiler:#ff8c42;--balanced:#c39be0;--profile:#35c99a;"
    "--optimal:#4aa3df}}"
    ".figure{font:12px system-ui,'Segoe UI','DejaVu Sans',sans-serif}.figure text{fill:var(--ink)}"
    ".figure .soft{fill:var(--soft)}.figure .rule{stroke:var(--faint)}"
    ".figure .axis{stroke:var(--line)}.figure .guide{stroke:var(--soft)}"
    ".figure .dashed{stroke:var(--soft);stroke-dasharray:5 3}.figure "
    ".inside{fill:#fff;stroke:#0006;stroke-width:3px;paint-order:stroke}";

std::string open_tag(const Drawing& drawing, const char* attributes) {
  return fmt::format(
      "<svg class='figure' xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {:.0f} {:.0f}' "
      "role='img'{}>\n<title>{}</title>\n",
      drawing.width, drawing.height, attributes, escaped(drawing.title));
}

}  // namespace

std::string embedded(const Drawing& drawing) {
  return open_tag(drawing, "") + drawing.content + "</svg>\n";
}

std::string stripes() {
  return "<pattern id='streaming' width='6' height='6' patternUnits='userSpaceOnUse' "
         "patternTransform='rotate(45)'><rect width='6' height='6' fill='var(--streaming)'/>"
         "<rect width='2' height='6' fill='var(--paper)' opacity='0.55'/></pattern>";
}

std::string file_of(const Drawing& drawing) {
  const std::string size =
      fmt::format(" width='{:.0f}' height='{:.0f}'", drawing.width, drawing.height);
  return open_tag(drawing, size.c_str()) + fmt::format("<style>{}</style>\n", kStyle) +
         fmt::format("<defs>{}</defs>\n", stripes()) +
         fmt::format("<rect width='{:.0f}' height='{:.0f}' fill='var(--paper)'/>\n", drawing.width,
                     drawing.height) +
         drawing.content + "</svg>\n";
}

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : json::as_written(text)) {
    switch (c) {
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '&':
        result += "&amp;";
        break;
      case '\'':
        result += "&#39;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        // Other control characters are not allowed in XML.
        result += static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t' ? ' ' : c;
    }
  }
  return result;
}

double width_of(std::string_view text) {
  const auto characters = std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; });
  return kCharacter * static_cast<double>(characters);
}

std::string paint_of(const std::string& name) {
  return name == "striped" ? "url(#streaming)" : fmt::format("var(--{})", name);
}

void Canvas::line(Point from, Point to, std::string_view style) {
  content_ += fmt::format("<path class='{}' d='M{:.1f} {:.1f}L{:.1f} {:.1f}'/>\n", style, from.x,
                          from.y, to.x, to.y);
}

void Canvas::text(Point at, std::string_view text, Anchor anchor, std::string_view style) {
  content_ += fmt::format("<text x='{:.1f}' y='{:.1f}'", at.x, at.y);
  if (anchor != Anchor::kStart) content_ += fmt::format(" text-anchor='{}'", to_string(anchor));
  if (!style.empty()) content_ += fmt::format(" class='{}'", style);
  content_ += fmt::format(">{}</text>\n", escaped(text));
}

void Canvas::title(Point at, std::string_view text, double right) {
  if (at.x + width_of(text) / 2 <= right) return this->text(at, text, Anchor::kMiddle, "soft");
  this->text({right, at.y}, text, Anchor::kEnd, "soft");
}

void Canvas::text_upwards(Point at, std::string_view text) {
  content_ += fmt::format(
      "<text class='soft' text-anchor='middle' transform='translate({:.1f} {:.1f}) "
      "rotate(-90)'>{}</text>\n",
      at.x, at.y, escaped(text));
}

void Canvas::rect(Point corner, double width, double height, std::string_view paint) {
  content_ +=
      fmt::format("<rect x='{:.1f}' y='{:.1f}' width='{:.1f}' height='{:.1f}' fill='{}'/>\n",
                  corner.x, corner.y, width, height, paint);
}

void Canvas::path(std::string_view data, std::string_view attributes) {
  content_ += fmt::format("<path d='{}' {}/>\n", data, attributes);
}

void Canvas::mark(Point at, const Look& look, double size, bool is_hollow) {
  const std::string paint = paint_of(look.paint);
  path(shape_path(look.shape, at, size),
       is_hollow ? fmt::format("fill='none' stroke='{}' stroke-width='1.2'", paint)
                 : fmt::format("fill='{}'", paint));
}

void Canvas::begin_series(std::string_view key) {
  content_ += fmt::format("<g data-series='{}'>\n", escaped(key));
}

void Canvas::end_series() { content_ += "</g>\n"; }

namespace {

// Breaks a text between words if it is wider than `width`.
std::vector<std::string> lines_of(std::string_view text, double width) {
  std::vector<std::string> lines{""};
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    std::string& line = lines.back();
    if (!line.empty() && width_of(line) + width_of(word) > width) {
      lines.emplace_back(word);
    } else {
      line += (line.empty() ? "" : " ") + std::string(word);
    }
    text.remove_prefix(std::min(text.size(), word.size() + 1));
  }
  return lines;
}

}  // namespace

double Canvas::legend(double left, double top, double width, const std::vector<Entry>& entries) {
  double x = left;
  double y = top + kLegendLine / 2;
  for (const Entry& entry : entries) {
    const double needed = kSignWidth + 8 + width_of(entry.title) + 14;
    if (x > left && x + needed > left + width) {
      x = left;
      y += kLegendLine;
    }
    using Sign = Entry::Sign;
    switch (entry.sign) {
      case Sign::kPaint:
        rect({x, y - 6}, kSignWidth, 12, paint_of(entry.look.paint));
        break;
      case Sign::kLine:
        path(fmt::format("M{:.1f} {:.1f}h{:.0f}", x, y, kSignWidth),
             fmt::format("stroke='{}' stroke-width='2' stroke-dasharray='{}'",
                         paint_of(entry.look.paint), entry.look.dash));
        break;
      case Sign::kUpright:
        line({x + kSignWidth / 2, y - 7}, {x + kSignWidth / 2, y + 7}, "guide");
        break;
      case Sign::kMark:
      case Sign::kHollowMark:
        mark({x + kSignWidth / 2, y}, entry.look, 4, entry.sign == Sign::kHollowMark);
    }
    const auto lines = lines_of(entry.title, width - kSignWidth - 8);
    for (std::size_t line = 0; line < lines.size(); ++line) {
      if (line > 0) y += kLegendLine * 0.75;
      text({x + kSignWidth + 8, y + 4}, lines[line], Anchor::kStart, "soft");
    }
    x += needed;
  }
  return y + kLegendLine / 2 - top;
}

Scale::Scale(double from, double to, double low, double high, bool is_logarithmic)
    : from_(is_logarithmic ? std::log10(from) : from),
      to_(is_logarithmic ? std::log10(to) : to),
      low_(low),
      high_(high),
      is_logarithmic_(is_logarithmic) {}

double Scale::operator()(double value) const {
  const double at = is_logarithmic_ ? std::log10(value) : value;
  return low_ + (at - from_) / (to_ - from_) * (high_ - low_);
}

std::vector<double> ticks(double largest, int count) {
  const double step = largest > 0 ? largest / std::max(1, count) : 1;
  const double power = std::pow(10, std::floor(std::log10(step)));
  double nice = 10 * power;
  for (const double factor : {5.0, 2.5, 2.0, 1.0}) {
    if (factor * power >= step * 0.999) nice = factor * power;
  }
  std::vector<double> result{0};
  while (result.back() < largest * 0.999)
    result.push_back(nice * static_cast<double>(result.size()));
  return result;
}

std::vector<double> logarithmic_ticks(double from, double to) {
  const bool has_few = std::log10(to / from) < 2.5;
  std::vector<double> result;
  for (int power = static_cast<int>(std::floor(std::log10(from))); std::pow(10, power) <= to;
       ++power) {
    for (const int factor : {1, 2, 5}) {
      const double value = factor * std::pow(10, power);
      if (value >= from * 0.999 && value <= to * 1.001 && (factor == 1 || has_few))
        result.push_back(value);
    }
  }
  return result;
}

}  // namespace segue::figure
