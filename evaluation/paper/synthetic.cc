// The paper's figure 4.
#include <fmt/format.h>

#include <cmath>

#include "evaluation/accuracy/measured.h"
#include "evaluation/paper/experiments.h"
#include "evaluation/paper/write_up.h"
#include "segue/cost.h"

namespace segue::paper {
namespace {

using figure::Marks;
using figure::Shape;

// One of the two families, simulated and measured.
struct Family {
  const char* key;
  const char* size_title;
  const std::vector<SweepPoint>& points;
  const AccuracySeries& times;
  const std::vector<ReportedMemoryRow>& memory;
};

template <typename Value>
figure::Series series_of(const Family& family, const char* title, const figure::Look& look,
                         Marks marks, const Value& value) {
  figure::Series series{family.key, title, look, marks, {}};
  for (std::size_t i = 0; i < family.points.size(); ++i)
    series.points.push_back({static_cast<double>(family.points[i].size), value(i)});
  return series;
}

figure::XyPlot time_plot(const Family& family) {
  const figure::Look look{"optimal", Shape::kCircle, ""};
  return {"Time of one inference",
          {family.size_title, false, 0, std::nullopt},
          {"ms", false, 0, std::nullopt},
          {series_of(family, "simulated", look, Marks::kLine,
                     [&](std::size_t i) { return family.times.rows[i].predicted_ms; }),
           series_of(family, "measured", look, Marks::kHollowPoints,
                     [&](std::size_t i) { return family.times.rows[i].measured_ms; })},
          {},
          300};
}

figure::XyPlot tops_plot(const Family& family) {
  const figure::Look look{"optimal", Shape::kCircle, ""};
  return {"Operations per second",
          {family.size_title, false, 0, std::nullopt},
          {"10¹² operations per second", false, 0, std::nullopt},
          {series_of(family, "simulated", look, Marks::kLine,
                     [&](std::size_t i) {
                       return tops(family.points[i].macs, family.times.rows[i].predicted_ms);
                     }),
           series_of(family, "measured", look, Marks::kHollowPoints,
                     [&](std::size_t i) {
                       return tops(family.points[i].macs, family.times.rows[i].measured_ms);
                     })},
          {},
          300};
}

figure::XyPlot memory_plot(const Family& family) {
  const figure::Look chip{"compute", Shape::kCircle, ""};
  const figure::Look host{"streaming", Shape::kSquare, "6 3"};
  return {"Device and host memory",
          {family.size_title, false, 0, std::nullopt},
          {"MiB", false, 0, std::nullopt},
          {series_of(family, "on chip, simulated", chip, Marks::kLine,
                     [&](std::size_t i) { return to_mib(family.points[i].on_chip_bytes); }),
           series_of(family, "reported by Google's compiler", chip, Marks::kHollowPoints,
                     [&](std::size_t i) { return family.memory[i].on_chip_mib; }),
           series_of(family, "from host, simulated", host, Marks::kLine,
                     [&](std::size_t i) { return to_mib(family.points[i].host_bytes); }),
           series_of(family, "reported", host, Marks::kHollowPoints,
                     [&](std::size_t i) { return family.memory[i].host_mib; })},
          {},
          300};
}

Table table_of(const Family& family) {
  Table table{{{"size"},
               {"parameters_MiB"},
               {"MMAC"},
               {"simulated_ms"},
               {"measured_ms"},
               {"error_%"},
               {"held_out"},
               {"on_chip_MiB"},
               {"reported_on_chip_MiB"},
               {"host_MiB"},
               {"reported_host_MiB"}},
              {}};
  for (std::size_t i = 0; i < family.points.size(); ++i) {
    const SweepPoint& point = family.points[i];
    const AccuracyRow& time = family.times.rows[i];
    table.rows.push_back(
        {std::to_string(point.size), format_mib(point.parameter_bytes),
         fmt::format("{:.2f}", 1e-6 * static_cast<double>(point.macs)),
         fmt::format("{:.3f}", time.predicted_ms), fmt::format("{:g}", time.measured_ms),
         fmt::format("{:+.1f}", 100 * time.share()), time.is_held_out ? "yes" : "no",
         fmt::format("{:.3f}", to_mib(point.on_chip_bytes)),
         fmt::format("{:.3f}", family.memory[i].on_chip_mib),
         fmt::format("{:.3f}", to_mib(point.host_bytes)),
         fmt::format("{:.3f}", family.memory[i].host_mib)});
  }
  return table;
}

// Returns the largest difference from the reports of Google's compiler in MiB.
double memory_error(const Family& family) {
  double worst = 0;
  for (std::size_t i = 0; i < family.points.size(); ++i) {
    worst = std::max(
        {worst, std::abs(to_mib(family.points[i].on_chip_bytes) - family.memory[i].on_chip_mib),
         std::abs(to_mib(family.points[i].host_bytes) - family.memory[i].host_mib)});
  }
  return worst;
}

std::string percent(double share) { return fmt::format("{:.1f} %", 100 * share); }

}  // namespace

Experiment synthetic_experiment(Evaluation& evaluation) {
  const Family conv{"conv", "filters of each layer", evaluation.conv_sweep(),
                    evaluation.series("conv_sweep"), conv_sweep_memory()};
  const Family dense{"dense", "units of each layer", evaluation.dense_sweep(),
                     evaluation.series("dense_sweep"), dense_sweep_memory()};
  const AccuracySummary conv_error = conv.times.held_out();
  const AccuracySummary dense_error = dense.times.held_out();
  Experiment experiment{
      "figure4",
      "Figure 4: synthetic networks on one TPU, time and memory",
      fmt::format(
          "Memory is within {:.3f} MiB of the compiler's reports. Times of held-out rows are "
          "off by {} on average for convolutions from 100 filters on (at most {}) and {} "
          "for dense layers above 1 ms (at most {}).",
          std::max(memory_error(conv), memory_error(dense)), percent(conv_error.mean_share),
          percent(conv_error.worst_share), percent(dense_error.mean_share),
          percent(dense_error.worst_share)),
      "",
      {{"conv", "Five 3x3 convolutions of F filters on 64x64x3", table_of(conv)},
       {"dense", "Dense layers, 64 to N (four times) to 10", table_of(dense)}},
      {chart_of("conv_time", "Convolutions: time of one inference", time_plot(conv)),
       chart_of("conv_tops", "Convolutions: operations per second", tops_plot(conv)),
       chart_of("conv_memory", "Convolutions: parameters on chip and from host", memory_plot(conv)),
       chart_of("dense_time", "Dense layers: time of one inference", time_plot(dense)),
       chart_of("dense_memory", "Dense layers: parameters on chip and from host",
                memory_plot(dense))}};
  write_readme(experiment,
               {{"errors", accuracy_markdown(std::vector<AccuracySeries>{
                               conv.times, evaluation.series("conv_sweep_bare"), dense.times})},
                {"conv memory error", fmt::format("{:.3f}", memory_error(conv))},
                {"dense memory error", fmt::format("{:.3f}", memory_error(dense))}});
  return experiment;
}

}  // namespace segue::paper
