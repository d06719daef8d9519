#include "paper/speedup_plot.h"

#include <fmt/format.h>

#include <array>

namespace segue::paper {

figure::Look look_of_count(std::size_t position) {
  using figure::Shape;
  const std::array<figure::Look, 3> looks{{{"compiler", Shape::kSquare, "2 3"},
                                           {"balanced", Shape::kTriangle, "6 3"},
                                           {"optimal", Shape::kCircle, ""}}};
  return looks.at(position);
}

figure::XyPlot speedup_plot(const std::string& title, const char* size_title,
                            const std::vector<SweepPoint>& points,
                            Nanoseconds SweepPoint::Pipeline::*time) {
  figure::XyPlot plot{title,
                      {size_title, false, 0, std::nullopt},
                      {"speed-up over one TPU", false, 0, std::nullopt},
                      {},
                      {},
                      320};
  for (std::size_t i = 0; i < points[0].pipelines.size(); ++i) {
    figure::Series series{fmt::format("{} TPUs", i + 2),
                          fmt::format("{} TPUs, simulated", i + 2),
                          look_of_count(i),
                          figure::Marks::kLine,
                          {}};
    for (const SweepPoint& point : points) {
      series.points.push_back({static_cast<double>(point.size),
                               to_s(point.one_tpu) / to_s(point.pipelines.at(i).*time)});
    }
    plot.series.push_back(std::move(series));
  }
  return plot;
}

}  // namespace segue::paper
