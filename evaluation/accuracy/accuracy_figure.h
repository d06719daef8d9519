// Simulated against measured times as a chart.
#pragma once

#include <span>

#include "evaluation/accuracy/accuracy.h"
#include "evaluation/figure/figure.h"

namespace segue {

// Both axes logarithmic; series that are another reading of measured rows are left out.
[[nodiscard]] figure::XyPlot accuracy_figure(std::span<const AccuracySeries> series);

}  // namespace segue
