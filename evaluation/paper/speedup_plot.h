// Plots speed-ups of the synthetic networks over one TPU.
#pragma once

#include <string>
#include <vector>

#include "evaluation/figure/figure.h"
#include "evaluation/paper/evaluation.h"

namespace segue::paper {

// Makes a series for 2, 3 or 4 TPUs without points.
[[nodiscard]] figure::Series series_of_count(std::size_t tpus, bool is_measured);

// Makes a plot whose axes begin at 0, without series.
[[nodiscard]] figure::XyPlot plot_from_zero(std::string title, const char* x_title,
                                            const char* y_title);

// Plots simulated speed-ups in batches of 15; `time` returns the time of one of the strategies.
[[nodiscard]] figure::XyPlot speedup_plot(const std::string& title, const char* size_title,
                                          const std::vector<SweepPoint>& points,
                                          Nanoseconds SweepPoint::Pipeline::*time);

}  // namespace segue::paper
