// The paper's figure 2.
#include <fmt/format.h>

#include <algorithm>

#include "evaluation/accuracy/measured.h"
#include "evaluation/paper/experiments.h"
#include "evaluation/paper/write_up.h"
#include "segue/cost.h"

namespace segue::paper {
namespace {

using figure::Marks;
using figure::Shape;

struct Row {
  std::string kind;
  std::string model;
  std::string device;
  std::uint64_t parameter_bytes = 0;
  std::uint64_t macs = 0;
  double simulated_ms = 0;
  double measured_ms = 0;  // measured or published; 0: neither
};

// Adds the rows of a sweep. Their simulated times are those of the accuracy tables, which include
// the time of the measured session.
void add_sweep(std::vector<Row>& rows, const char* kind, const std::string& stem,
               const std::vector<SweepPoint>& points, const AccuracySeries& measured) {
  for (std::size_t i = 0; i < points.size(); ++i) {
    rows.push_back({kind, fmt::format("{}{}", stem, points[i].size), "edgetpu-pcie",
                    points[i].parameter_bytes, points[i].macs, measured.rows[i].predicted_ms,
                    measured.rows[i].measured_ms});
  }
}

std::vector<Row> rows_of(Evaluation& evaluation) {
  std::vector<Row> rows;
  add_sweep(rows, "conv", "conv5-f", evaluation.conv_sweep(), evaluation.series("conv_sweep"));
  add_sweep(rows, "dense", "dense4-n", evaluation.dense_sweep(), evaluation.series("dense_sweep"));
  for (const OneTpuPoint& point : evaluation.one_tpu()) {
    rows.push_back({"cnn", point.model, "edgetpu-pcie", point.parameter_bytes, point.macs,
                    to_ms(point.time.total()), 0});
  }
  const DeviceSpec& desktop = find_device("edgetpu-usb3-max");
  for (const PublishedTime& published : published_times()) {
    const OneTpuPoint point = on_one_tpu(published.model, desktop);
    rows.push_back({"published", published.model, desktop.name, point.parameter_bytes, point.macs,
                    to_ms(point.time.total()), published.desktop});
  }
  return rows;
}

figure::Series series_of(const std::vector<Row>& rows, const char* kind, bool is_measured,
                         const char* title, const figure::Look& look, Marks marks) {
  figure::Series series{kind, title, look, marks, {}};
  for (const Row& row : rows) {
    if (row.kind != kind) continue;
    series.points.push_back({to_mib(row.parameter_bytes),
                             tops(row.macs, is_measured ? row.measured_ms : row.simulated_ms)});
  }
  return series;
}

figure::XyPlot plot_of(const std::vector<Row>& rows) {
  const figure::Look conv{"optimal", Shape::kCircle, ""};
  const figure::Look dense{"balanced", Shape::kTriangle, "6 3"};
  const figure::Look cnn{"output", Shape::kDiamond, ""};
  const figure::Look published{"streaming", Shape::kSquare, ""};
  return {"TOPS against model size",
          {"parameters, MiB", true, 0.03, 200},
          {"10¹² operations per second", false, 0, std::nullopt},
          {series_of(rows, "conv", false, "5 x conv, simulated", conv, Marks::kLine),
           series_of(rows, "conv", true, "measured", conv, Marks::kHollowPoints),
           series_of(rows, "dense", false, "dense, simulated", dense, Marks::kLine),
           series_of(rows, "dense", true, "measured", dense, Marks::kHollowPoints),
           series_of(rows, "cnn", false, "CNNs over PCIe, simulated", cnn, Marks::kPoints),
           series_of(rows, "published", false, "CNNs over USB 3 at 500 MHz, simulated", published,
                     Marks::kPoints),
           series_of(rows, "published", true, "published", published, Marks::kHollowPoints)},
          {},
          360};
}

Table table_of(const std::vector<Row>& rows) {
  Table table{{{"kind", Table::Align::kLeft},
               {"model", Table::Align::kLeft},
               {"device", Table::Align::kLeft},
               {"parameters_MiB"},
               {"MMAC"},
               {"simulated_ms"},
               {"simulated_TOPS"},
               {"measured_ms"},
               {"measured_TOPS"}},
              {}};
  for (const Row& row : rows) {
    const bool has = row.measured_ms > 0;
    table.rows.push_back({row.kind, row.model, row.device, format_mib(row.parameter_bytes),
                          fmt::format("{:.2f}", 1e-6 * static_cast<double>(row.macs)),
                          fmt::format("{:.3f}", row.simulated_ms),
                          fmt::format("{:.4f}", tops(row.macs, row.simulated_ms)),
                          has ? fmt::format("{:g}", row.measured_ms) : "",
                          has ? fmt::format("{:.4f}", tops(row.macs, row.measured_ms)) : ""});
  }
  return table;
}

// The convolutional network with the most operations per second.
const Row& peak(const std::vector<Row>& rows, bool is_measured) {
  return *std::ranges::max_element(rows, {}, [&](const Row& row) {
    const double ms = is_measured ? row.measured_ms : row.simulated_ms;
    return row.kind == "conv" ? tops(row.macs, ms) : 0;
  });
}

}  // namespace

Experiment model_size_experiment(Evaluation& evaluation) {
  const std::vector<Row> rows = rows_of(evaluation);
  const Row& ours = peak(rows, false);
  const Row& theirs = peak(rows, true);
  Experiment experiment{
      "figure2",
      "Figure 2: operations per second against model size",
      fmt::format("The synthetic CNNs peak at {:.2f} TOPS ({}), measured {:.2f} "
                  "({}), and fall when the first layer leaves the chip.",
                  tops(ours.macs, ours.simulated_ms), ours.model,
                  tops(theirs.macs, theirs.measured_ms), theirs.model),
      "",
      {{"rows", "Every model", table_of(rows)}},
      {chart_of("tops", "TOPS against MiB of parameters, one TPU", plot_of(rows))}};
  write_readme(experiment);
  return experiment;
}

}  // namespace segue::paper
