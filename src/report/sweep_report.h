// The rows of a sweep as text and as a table.
#pragma once

#include <span>
#include <string>

#include "planner/sweep/sweep.h"
#include "segue/report.h"

namespace segue {

// Rows of a sweep, one line each; those without a plan have dashes.
[[nodiscard]] std::string sweep_text(std::span<const SweepRow> rows,
                                     std::size_t width = kTextWidth);
[[nodiscard]] Table sweep_table(std::span<const SweepRow> rows);

}  // namespace segue
