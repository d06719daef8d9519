// The paper's figure 6.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "evaluation/accuracy/predict.h"
#include "evaluation/paper/experiments.h"
#include "evaluation/paper/speedup_plot.h"
#include "evaluation/paper/write_up.h"

namespace segue::paper {
namespace {

constexpr std::array kSeries{"pipeline_k2_b100", "pipeline_k3_b100", "pipeline_k4_b100"};

struct Speedup {
  std::int32_t filters = 0;
  std::size_t tpus = 0;
  std::optional<double> measured;
  double simulated = 0;
};

double three_tpus_ms(std::int32_t filters) {
  return to_ms(SweepPredictor(filters).pipeline(3, 100, kMeasuredHost));
}

// Returns speed-ups in batches of 100, as measured. Measured times are divided by measured times of
// one TPU, and simulated times by simulated ones. Three TPUs were measured at some widths only.
std::vector<Speedup> speedups(Evaluation& evaluation) {
  std::vector<Speedup> result;
  for (std::size_t i = 0; i < kSeries.size(); ++i) {
    std::map<std::string, const AccuracyRow*> rows;
    for (const AccuracyRow& row : evaluation.series(kSeries.at(i)).rows) rows[row.label] = &row;
    for (const AccuracyRow& one : evaluation.series("conv_sweep").rows) {
      Speedup speedup{std::stoi(one.label.substr(2)), i + 2, std::nullopt, 0};
      if (const auto found = rows.find(one.label); found != rows.end()) {
        speedup.measured = one.measured_ms / found->second->measured_ms;
        speedup.simulated = one.predicted_ms / found->second->predicted_ms;
      } else if (speedup.tpus == 3) {
        speedup.simulated = one.predicted_ms / three_tpus_ms(speedup.filters);
      } else {
        continue;
      }
      result.push_back(speedup);
    }
  }
  return result;
}

figure::Series series_of(const std::vector<Speedup>& rows, std::size_t tpus, bool is_measured) {
  figure::Series series = series_of_count(tpus, is_measured);
  for (const Speedup& row : rows) {
    if (row.tpus != tpus || (is_measured && !row.measured)) continue;
    series.points.push_back(
        {static_cast<double>(row.filters), is_measured ? *row.measured : row.simulated});
  }
  return series;
}

figure::XyPlot measured_plot(const std::vector<Speedup>& rows) {
  auto plot = plot_from_zero("Speed-up of Segm_Comp, batches of 100", "filters of each layer",
                             "speed-up over one TPU");
  for (std::size_t tpus = 2; tpus <= 4; ++tpus) {
    plot.series.push_back(series_of(rows, tpus, false));
    plot.series.push_back(series_of(rows, tpus, true));
  }
  plot.guides = {{{0, 1}, {702, 1}, true}};
  return plot;
}

// Plots the paper's case: batches of 15 on the catalogue's device, on which nothing is shared.
figure::XyPlot batch_15_plot(const std::vector<SweepPoint>& points) {
  auto plot = speedup_plot("Speed-up of Segm_Comp, batches of 15", "filters of each layer", points,
                           &SweepPoint::Pipeline::vendor_batch);
  plot.guides = {{{0, 1}, {static_cast<double>(points.back().size), 1}, true}};
  return plot;
}

figure::XyPlot batch_size_plot(Evaluation& evaluation) {
  auto plot = plot_from_zero("Time by size of the batch, about 672 filters", "inputs in a batch",
                             "ms per input");
  constexpr std::array kBatches{"batch_sweep", "batch_sweep_k3"};
  for (std::size_t i = 0; i < kBatches.size(); ++i) {
    const AccuracySeries& rows = evaluation.series(kBatches[i]);
    for (const bool is_measured : {false, true}) {
      figure::Series series = series_of_count(i + 2, is_measured);
      for (const AccuracyRow& row : rows.rows) {
        series.points.push_back(
            {std::stod(row.label.substr(2)), is_measured ? row.measured_ms : row.predicted_ms});
      }
      plot.series.push_back(std::move(series));
    }
  }
  return plot;
}

Table speedup_table(const std::vector<Speedup>& rows) {
  Table table{{{"filters"}, {"TPUs"}, {"measured"}, {"simulated"}, {"error_%"}}, {}};
  for (const Speedup& row : rows) {
    const auto cell = [&](const char* format, double value) {
      return row.measured ? fmt::format(fmt::runtime(format), value) : std::string();
    };
    const double measured = row.measured.value_or(1);
    table.rows.push_back({std::to_string(row.filters), std::to_string(row.tpus),
                          cell("{:.3f}", measured), fmt::format("{:.3f}", row.simulated),
                          cell("{:+.1f}", 100 * (row.simulated / measured - 1))});
  }
  return table;
}

Table batch_15_table(const std::vector<SweepPoint>& points) {
  Table table{{{"filters"}, {"TPUs"}, {"one_TPU_ms"}, {"ms_per_input"}, {"speed_up"}, {"host_MiB"}},
              {}};
  for (std::size_t i = 0; i < 3; ++i) {
    for (const SweepPoint& point : points) {
      const SweepPoint::Pipeline& pipeline = point.pipelines[i];
      table.rows.push_back(
          {std::to_string(point.size), std::to_string(i + 2), format_ms(point.one_tpu),
           format_ms(pipeline.vendor_batch),
           fmt::format("{:.3f}", to_s(point.one_tpu) / to_s(pipeline.vendor_batch)),
           format_mib(pipeline.vendor.host_bytes())});
    }
  }
  return table;
}

// With fewer filters, the host's noise is as large as the measured time.
constexpr std::int32_t kLeastFilters = 100;

// Returns the largest measured and simulated speed-up per number of TPUs.
Table largest_table(const std::vector<Speedup>& rows) {
  Table table{
      {{"TPUs"}, {"measured"}, {"measured_at_filters"}, {"simulated"}, {"simulated_at_filters"}},
      {}};
  for (std::size_t tpus = 2; tpus <= 4; ++tpus) {
    const auto largest = [&](const auto& value) {
      return *std::ranges::max_element(rows, {}, [&](const Speedup& row) {
        const bool counts = row.tpus == tpus && row.measured && row.filters >= kLeastFilters;
        return counts ? value(row) : 0.0;
      });
    };
    const Speedup measured = largest([](const Speedup& row) { return *row.measured; });
    const Speedup simulated = largest([](const Speedup& row) { return row.simulated; });
    table.rows.push_back({std::to_string(tpus), fmt::format("{:.2f}", *measured.measured),
                          std::to_string(measured.filters),
                          fmt::format("{:.2f}", simulated.simulated),
                          std::to_string(simulated.filters)});
  }
  return table;
}

// Counts the networks that are slower on two TPUs.
std::ptrdiff_t count_losing(const std::vector<Speedup>& rows, bool is_measured) {
  return std::ranges::count_if(rows, [&](const Speedup& row) {
    return row.tpus == 2 && (is_measured ? row.measured.value_or(1) : row.simulated) < 1;
  });
}

}  // namespace

Experiment vendor_speedup_experiment(Evaluation& evaluation) {
  const std::vector<Speedup> rows = speedups(evaluation);
  std::vector<AccuracySeries> errors;
  errors.reserve(kSeries.size() + 2);
  for (const char* key : kSeries) errors.push_back(evaluation.series(key));
  errors.push_back(evaluation.series("batch_sweep"));
  errors.push_back(evaluation.series("batch_sweep_k3"));
  const Table largest = largest_table(rows);
  Experiment experiment{
      "figure6",
      "Figure 6: speed-up of Google's segments on 2, 3 and 4 TPUs",
      fmt::format("The segments of Google's compiler reach at most {} times one TPU on four TPUs "
                  "(simulated {}). On two TPUs, {} of {} networks are slower than on one "
                  "(simulated {}): segments are uneven, and each adds a transfer.",
                  largest.rows[2][1], largest.rows[2][3], count_losing(rows, true),
                  std::ranges::count_if(rows, [](const Speedup& row) { return row.tpus == 2; }),
                  count_losing(rows, false)),
      "",
      {{"largest", "Largest speed-up from 100 filters on, batches of 100", largest},
       {"rows", "Batches of 100, measured and simulated", speedup_table(rows)},
       {"batch_15", "Batches of 15, simulated", batch_15_table(evaluation.conv_sweep())}},
      {chart_of("speed_up", "Batches of 100: measured points over simulated lines",
                measured_plot(rows)),
       chart_of(
           "speed_up_batch_15",
           "Batches of 15, simulated, nothing shared, without the 1.3 ms of the measured session",
           batch_15_plot(evaluation.conv_sweep())),
       chart_of("batch_size",
                "Batches of 1 to 100 (two TPUs) and 1 to 37 (three), about 672 filters",
                batch_size_plot(evaluation))}};
  write_readme(experiment, {{"errors", accuracy_markdown(errors)}});
  return experiment;
}

}  // namespace segue::paper
