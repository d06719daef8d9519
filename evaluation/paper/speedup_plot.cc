#include "evaluation/paper/speedup_plot.h"

#include <fmt/format.h>

#include <array>

namespace segue::paper {
namespace {

// Positions 0 to 2 are 2, 3 and 4 TPUs.
figure::Look look_of_count(std::size_t position) {
  using figure::Shape;
  const std::array<figure::Look, 3> looks{{{"compiler", Shape::kSquare, "2 3"},
                                           {"balanced", Shape::kTriangle, "6 3"},
                                           {"optimal", Shape::kCircle, ""}}};
  return looks.at(position);
}

}  // namespace

figure::Series series_of_count(std::size_t tpus, bool is_measured) {
  return {fmt::format("{} TPUs", tpus),
          fmt::format("{} TPUs, {}", tpus, is_measured ? "measured" : "simulated"),
          look_of_count(tpus - 2),
          is_measured ? figure::Marks::kHollowPoints : figure::Marks::kLine,
          {}};
}

figure::XyPlot plot_from_zero(std::string title, const char* x_title, const char* y_title) {
  return {std::move(title),
          {x_title, false, 0, std::nullopt},
          {y_title, false, 0, std::nullopt},
          {},
          {},
          320};
}

figure::XyPlot speedup_plot(const std::string& title, const char* size_title,
                            const std::vector<SweepPoint>& points,
                            Nanoseconds SweepPoint::Pipeline::*time) {
  auto plot = plot_from_zero(title, size_title, "speed-up over one TPU");
  for (std::size_t i = 0; i < points[0].pipelines.size(); ++i) {
    figure::Series series = series_of_count(i + 2, false);
    for (const SweepPoint& point : points) {
      series.points.push_back({static_cast<double>(point.size),
                               to_s(point.one_tpu) / to_s(point.pipelines.at(i).*time)});
    }
    plot.series.push_back(std::move(series));
  }
  return plot;
}

}  // namespace segue::paper
