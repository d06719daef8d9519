#include <fmt/format.h>

#include <array>
#include <cmath>

#include "json/node.h"
#include "segue/report.h"

namespace segue {
namespace {

// A square plot with logarithmic axes from 0.1 ms to 1 s.
constexpr double kSize = 560;
constexpr double kMargin = 60;
constexpr double kSmallestMs = 0.1;
constexpr double kDecades = 4;

// Okabe and Ito's colours, told apart without colour vision too; shapes differ as well.
constexpr std::array<const char*, 8> kColours{"#0072B2", "#E69F00", "#009E73", "#D55E00",
                                              "#CC79A7", "#56B4E9", "#999999", "#000000"};

double position(double ms) {
  return kMargin + (kSize - 2 * kMargin) * std::log10(ms / kSmallestMs) / kDecades;
}

std::string mark(double x, double y, std::size_t series) {
  const char* colour = kColours[series % kColours.size()];
  switch (series % 3) {
    case 0:
      return fmt::format("<circle cx='{:.1f}' cy='{:.1f}' r='3' fill='{}' fill-opacity='0.7'/>\n",
                         x, y, colour);
    case 1:
      return fmt::format(
          "<rect x='{:.1f}' y='{:.1f}' width='5' height='5' fill='{}' fill-opacity='0.7'/>\n",
          x - 2.5, y - 2.5, colour);
    default:
      return fmt::format("<path d='M{:.1f} {:.1f}l3.5 6h-7z' fill='{}' fill-opacity='0.7'/>\n", x,
                         y - 4, colour);
  }
}

std::string grid() {
  std::string text;
  for (int decade = 0; decade <= static_cast<int>(kDecades); ++decade) {
    const double ms = kSmallestMs * std::pow(10, decade);
    const double at = position(ms);
    const double flipped = kSize - at;
    text +=
        fmt::format("<path d='M{0:.1f} {1:.1f}V{2:.1f}M{1:.1f} {3:.1f}H{2:.1f}' stroke='#ddd'/>\n",
                    at, kMargin, kSize - kMargin, flipped);
    text += fmt::format("<text x='{:.1f}' y='{:.1f}' text-anchor='middle'>{:g}</text>\n", at,
                        kSize - kMargin + 18, ms);
    text += fmt::format("<text x='{:.1f}' y='{:.1f}' text-anchor='end'>{:g}</text>\n", kMargin - 8,
                        flipped + 4, ms);
  }
  return text;
}

// predicted = measured, and 10 % to both sides.
std::string diagonals() {
  const double shift = (kSize - 2 * kMargin) * std::log10(1.1) / kDecades;
  std::string text;
  for (const double offset : {-shift, 0.0, shift}) {
    text += fmt::format("<path d='M{:.1f} {:.1f}L{:.1f} {:.1f}' stroke='#555'{}/>\n", kMargin,
                        kSize - kMargin - offset, kSize - kMargin, kMargin - offset,
                        offset == 0 ? "" : " stroke-dasharray='4 4'");
  }
  return text;
}

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
                    {"held_out", summary_json(one.held_out())},
                    {"all", summary_json(one.all())},
                    {"rows", std::move(rows)}});
  }
  return json::to_text({{"schema", "segue.accuracy/1"}, {"series", std::move(list)}});
}

std::string accuracy_plot(std::span<const AccuracySeries> series) {
  constexpr double kLegendWidth = 440;
  constexpr double kLine = 22;
  std::string text = fmt::format(
      "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {0:.0f} {1:.0f}' "
      "font-family='sans-serif' "
      "font-size='12'>\n<title>Simulated against measured times</title>\n"
      "<rect width='{0:.0f}' height='{1:.0f}' fill='#fff'/>\n",
      kSize + kLegendWidth, kSize);
  text += grid() + diagonals();
  std::size_t drawn = 0;
  for (const AccuracySeries& one : series) {
    if (one.is_rejected) continue;
    for (const AccuracyRow& row : one.rows)
      text += mark(position(row.measured_ms), kSize - position(row.predicted_ms), drawn);
    const double y = kMargin + static_cast<double>(drawn) * kLine;
    text += mark(kSize - 20, y - 4, drawn++);
    text += fmt::format("<text x='{:.0f}' y='{:.1f}'>{}</text>\n", kSize - 8, y, one.title);
  }
  text += fmt::format("<text x='{0:.0f}' y='{1:.0f}' text-anchor='middle'>measured, ms</text>\n",
                      kSize / 2, kSize - 16);
  text += fmt::format(
      "<text x='16' y='{0:.0f}' text-anchor='middle' transform='rotate(-90 16 {0:.0f})'>simulated, "
      "ms</text>\n</svg>\n",
      kSize / 2);
  return text;
}

}  // namespace segue
