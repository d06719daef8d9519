// Segm_Prof on the synthetic networks.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "evaluation/paper/experiments.h"
#include "evaluation/paper/speedup_plot.h"
#include "evaluation/paper/write_up.h"

namespace segue::paper {
namespace {

using PaperPipeline = SweepPoint::Pipeline;

double over_one(const SweepPoint& point, std::size_t at) {
  return to_s(point.one_tpu) / to_s(point.pipelines[at].profiled_batch);
}
double over_vendor(const SweepPoint& point, std::size_t at) {
  return to_s(point.pipelines[at].vendor_batch) / to_s(point.pipelines[at].profiled_batch);
}

// Returns the operators of each stage as "2+1+1+1".
std::string operators_text(const Plan& plan) {
  std::vector<std::size_t> counts;
  for (const Stage& stage : plan.stages) counts.push_back(stage.operators.size());
  return fmt::format("{}", fmt::join(counts, "+"));
}

figure::XyPlot plot_of(const std::vector<SweepPoint>& points, const char* size_title) {
  auto plot = speedup_plot("Speed-up of Segm_Prof over one TPU", size_title, points,
                           &PaperPipeline::profiled_batch);
  const auto largest = static_cast<double>(points.back().size);
  for (const double tpus : {2.0, 3.0, 4.0})
    plot.guides.push_back({{0, tpus}, {largest, tpus}, true});
  return plot;
}

Table rows_table(const std::vector<SweepPoint>& points) {
  Table table{{{"size"},
               {"TPUs"},
               {"segments", Table::Align::kLeft},
               {"one_TPU_ms"},
               {"ms_per_input"},
               {"speed_up"},
               {"vs_Segm_Comp"},
               {"host_MiB"}},
              {}};
  for (std::size_t i = 0; i < 3; ++i) {
    for (const SweepPoint& point : points) {
      const PaperPipeline& pipeline = point.pipelines[i];
      table.rows.push_back(
          {std::to_string(point.size), std::to_string(i + 2), operators_text(pipeline.profiled),
           fmt::format("{:.3f}", to_ms(point.one_tpu)),
           fmt::format("{:.3f}", to_ms(pipeline.profiled_batch)),
           fmt::format("{:.3f}", over_one(point, i)), fmt::format("{:.3f}", over_vendor(point, i)),
           format_mib(pipeline.profiled.host_bytes())});
    }
  }
  return table;
}

template <typename Value>
const SweepPoint& largest(const std::vector<SweepPoint>& points, const Value& value) {
  return *std::ranges::max_element(points, {}, value);
}

// Compares the largest speed-ups with those of the authors' files.
Table largest_table(const std::vector<SweepPoint>& conv, const std::vector<SweepPoint>& dense) {
  Table table{
      {{"what", Table::Align::kLeft}, {"simulated"}, {"simulated_at"}, {"authors"}, {"authors_at"}},
      {}};
  const auto add = [&](const char* what, const std::vector<SweepPoint>& points, const auto& value,
                       const char* theirs, const char* at) {
    const SweepPoint& best = largest(points, value);
    table.rows.push_back(
        {what, fmt::format("{:.2f}", value(best)), std::to_string(best.size), theirs, at});
  };
  add(
      "convolutions, 4 TPUs, over one TPU", conv,
      [](const SweepPoint& p) { return over_one(p, 2); }, "3.44 (4.81 in the other copy)",
      "682 (not known)");
  add(
      "convolutions, 4 TPUs, over Segm_Comp", conv,
      [](const SweepPoint& p) { return over_vendor(p, 2); }, "2.80", "582");
  add(
      "dense layers, 3 TPUs, over one TPU", dense,
      [](const SweepPoint& p) { return over_one(p, 1); }, "38.4 (46.8 in the other copy)",
      "2340 (2620)");
  return table;
}

}  // namespace

Experiment profile_experiment(Evaluation& evaluation) {
  const auto& conv = evaluation.conv_sweep();
  const auto& dense = evaluation.dense_sweep();
  const auto usual = std::ranges::count_if(conv, [](const SweepPoint& point) {
    return operators_text(point.pipelines[2].profiled) == "2+1+1+1";
  });
  const auto streaming = std::ranges::count_if(
      conv, [](const SweepPoint& point) { return point.pipelines[2].profiled.host_bytes() > 0; });
  const Table largest = largest_table(conv, dense);
  Experiment experiment{
      "profile",
      "Table: Segm_Prof on the synthetic networks",
      fmt::format(
          "Cuts chosen by time reach at most {} times one TPU on four TPUs for convolutions and {} "
          "on three for dense layers: super-linear where one TPU streams.",
          largest.rows[0][1], largest.rows[2][1]),
      "",
      {{"largest", "Largest speed-ups, batches of 15", largest},
       {"conv", "Convolutions", rows_table(conv)},
       {"dense", "Dense layers", rows_table(dense)}},
      {chart_of("conv", "Convolutions; dashed: as many times as TPUs",
                plot_of(conv, "filters of each layer")),
       chart_of("dense", "Dense layers; dashed: as many times as TPUs",
                plot_of(dense, "units of each layer"))}};
  write_readme(experiment, {{"usual", fmt::format("{} of {}", usual, conv.size())},
                            {"streaming", std::to_string(streaming)}});
  return experiment;
}

}  // namespace segue::paper
