// Draws simulated times against measured ones.
#pragma once

#include <span>

#include "evaluation/accuracy/accuracy.h"
#include "evaluation/figure/figure.h"

namespace segue {

// Returns a chart with logarithmic axes, without series that evaluate the same rows again.
[[nodiscard]] figure::XyPlot accuracy_figure(std::span<const AccuracySeries> series);

}  // namespace segue
