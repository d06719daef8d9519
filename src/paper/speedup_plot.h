// Speed-ups of the synthetic networks over one TPU.
#pragma once

#include <string>
#include <vector>

#include "figure/figure.h"
#include "paper/evaluation.h"

namespace segue::paper {

// Of 2, 3 and 4 TPUs: [0] to [2].
[[nodiscard]] figure::Look look_of_count(std::size_t position);

// In batches of 15, simulated; `time` is of one of the strategies.
[[nodiscard]] figure::XyPlot speedup_plot(const std::string& title, const char* size_title,
                                          const std::vector<SweepPoint>& points,
                                          Nanoseconds SweepPoint::Pipeline::*time);

}  // namespace segue::paper
