// Simulated against measured times as a chart.
#pragma once

#include <span>

#include "figure/figure.h"
#include "segue/accuracy.h"

namespace segue {

// Both axes logarithmic; series that are another reading of measured rows are left out.
[[nodiscard]] figure::XyPlot accuracy_figure(std::span<const AccuracySeries> series);

}  // namespace segue
