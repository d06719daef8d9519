// The simulator against all measured rows.
#include <fmt/format.h>

#include <algorithm>

#include "evaluation/accuracy/accuracy_figure.h"
#include "evaluation/paper/experiments.h"
#include "evaluation/paper/write_up.h"

namespace segue::paper {

Experiment accuracy_experiment(Evaluation& evaluation) {
  const auto& series = evaluation.accuracy();
  std::size_t rows = 0;
  double worst = 0;
  for (const AccuracySeries& one : series) {
    if (one.role == AccuracyRole::kAlternative) continue;
    rows += one.rows.size();
    worst = std::max(worst, one.held_out().mean_share);
  }
  Experiment experiment{
      "accuracy",
      "The simulator against measured times",
      fmt::format("{} measured rows; the mean error of a series on held-out rows is at most {:.1f} "
                  "%, without times that are too small for a relative error.",
                  rows, 100 * worst),
      "",
      {{"rows", "Every measured row", accuracy_table(series)}},
      {chart_of("accuracy", "Simulated against measured; dashed: 10 % to both sides",
                accuracy_figure(series))}};
  write_readme(experiment, {{"errors", accuracy_markdown(series)}});
  return experiment;
}

}  // namespace segue::paper
