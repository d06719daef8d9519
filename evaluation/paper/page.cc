// All experiments on one page.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "evaluation/figure/canvas.h"
#include "evaluation/paper/paper.h"
#include "evaluation/paper/texts.h"
#include "report/internal/assets.h"
#include "report/internal/frame.h"
#include "segue/version.h"

namespace segue {
namespace {

using figure::escaped;

// Longer tables are only in the CSV files.
constexpr std::size_t kMostRows = 60;

std::string html_of(const Table& table) {
  std::string text = "<table><thead><tr>";
  const auto alignment = [&](std::size_t column) {
    return table.columns[column].align == Table::Align::kLeft ? " class='text'" : "";
  };
  for (std::size_t c = 0; c < table.columns.size(); ++c)
    text += fmt::format("<th scope='col'{}>{}</th>", alignment(c), escaped(table.columns[c].title));
  text += "</tr></thead><tbody>\n";
  for (const auto& row : table.rows) {
    text += "<tr>";
    for (std::size_t c = 0; c < row.size(); ++c)
      text += fmt::format("<td{}>{}</td>", alignment(c), escaped(row[c]));
    text += "</tr>\n";
  }
  return text + "</tbody></table>";
}

std::string html_of(const PaperChart& chart) {
  const std::string tpus = chart.tpus > 0 ? fmt::format(" data-tpus='{}'", chart.tpus) : "";
  return fmt::format(
      "<figure{}><figcaption>{}</figcaption><div class='wide'>{}</div>"
      "<div class='narrow'>{}</div></figure>\n",
      tpus, escaped(chart.caption), chart.wide, chart.narrow);
}

std::string html_of(const Experiment& experiment) {
  std::string text = fmt::format(
      "<section class='card' id='{}'><header><h2>{}</h2></header>\n<p class='finding'>{}</p>\n",
      escaped(experiment.name), escaped(experiment.title), escaped(experiment.finding));
  if (!experiment.drawing.empty())
    text += fmt::format("<div class='scroll'><pre>{}</pre></div>", escaped(experiment.drawing));
  for (const PaperChart& chart : experiment.charts) text += html_of(chart);
  for (const PaperTable& table : experiment.tables) {
    if (table.table.rows.size() > kMostRows) continue;
    text += fmt::format(
        "<details><summary>{}</summary><div class='scroll' tabindex='0' role='region' "
        "aria-label='{}'>{}</div></details>\n",
        escaped(table.caption), escaped(table.caption), html_of(table.table));
  }
  return text + "</section>\n";
}

std::string choice(const char* name, const std::string& value, const std::string& label,
                   bool is_chosen) {
  return fmt::format(
      "<label class='choice'><input type='radio' name='{}' value='{}' aria-label='{}'{}>"
      "<span>{}</span></label>",
      name, value, escaped(label), is_chosen ? " checked" : "", escaped(label));
}

// Returns controls that choose the number of TPUs of charts and highlight one strategy in all
// charts.
std::string controls(std::span<const Experiment> experiments) {
  std::set<std::uint32_t> counts;
  for (const Experiment& experiment : experiments) {
    for (const PaperChart& chart : experiment.charts) {
      if (chart.tpus > 0) counts.insert(chart.tpus);
    }
  }
  std::string text = "<div class='card controls'><fieldset><legend>TPUs</legend>";
  for (const std::uint32_t tpus : counts)
    text += choice("tpus", std::to_string(tpus), std::to_string(tpus), tpus == *counts.rbegin());
  text += "</fieldset><fieldset><legend>Strategy</legend>";
  text += choice("strategy", "", "all", true);
  text += choice("strategy", "compiler", "Segm_Comp", false);
  text += choice("strategy", "balanced", "Segm_Balanced", false);
  text += choice("strategy", "profile", "Segm_Prof", false);
  text += choice("strategy", "pure", "optimal, no replicas", false);
  text += choice("strategy", "optimal", "planner", false);
  return text + "</fieldset></div>\n";
}

std::string contents(std::span<const Experiment> experiments) {
  std::string text = "<ul class='contents'>";
  for (const Experiment& experiment : experiments) {
    text += fmt::format("<li><a href='#{}'>{}</a> {}</li>\n", escaped(experiment.name),
                        escaped(experiment.title), escaped(experiment.finding));
  }
  return text + "</ul>\n";
}

}  // namespace

std::string paper_page(std::span<const Experiment> experiments) {
  std::string body = contents(experiments);
  bool has_controls = false;
  for (const Experiment& experiment : experiments) {
    // The controls are placed before the first chart that they change.
    const bool varies = std::ranges::any_of(experiment.charts,
                                            [](const PaperChart& chart) { return chart.tpus > 0; });
    if (varies && !has_controls) body += controls(experiments);
    has_controls = has_controls || varies;
    body += html_of(experiment);
  }
  body += fmt::format("<footer>Made by segue {}.</footer>", kVersion);
  const std::string style = std::string(page_style) + paper::paper_style;
  const std::string stripes = figure::stripes();
  const std::string whole =
      filled(paper::paper_body, {{"STRIPES", stripes}, {"EXPERIMENTS", body}});
  return framed_page("Balanced segmentation of CNNs, reproduced – Segue", style, whole,
                     paper::paper_script);
}

}  // namespace segue
