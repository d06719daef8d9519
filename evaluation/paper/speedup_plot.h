// Speed-ups of the synthetic networks over one TPU.
#pragma once

#include <string>
#include <vector>

#include "evaluation/figure/figure.h"
#include "evaluation/paper/evaluation.h"

namespace segue::paper {

// Of 2, 3 or 4 TPUs, without points yet.
[[nodiscard]] figure::Series series_of_count(std::size_t tpus, bool is_measured);

// Both axes from 0; without series yet.
[[nodiscard]] figure::XyPlot plot_from_zero(std::string title, const char* x_title,
                                            const char* y_title);

// In batches of 15, simulated; `time` is of one of the strategies.
[[nodiscard]] figure::XyPlot speedup_plot(const std::string& title, const char* size_title,
                                          const std::vector<SweepPoint>& points,
                                          Nanoseconds SweepPoint::Pipeline::*time);

}  // namespace segue::paper
