// The paper's figure 1.
#include "evaluation/array/array.h"

#include "evaluation/paper/experiments.h"
#include "evaluation/paper/write_up.h"

namespace segue::paper {

Experiment array_experiment(Evaluation& /*evaluation*/) {
  Experiment experiment{"figure1",
                        "Figure 1: a systolic array, cycle by cycle",
                        "A 3x3 weight-stationary array multiplies two 3x3 matrices in 10 cycles, "
                        "which equals the closed form that the simulator uses.",
                        "",
                        {},
                        {}};
  experiment.drawing = array_figure();
  write_readme(experiment, {{"drawing", experiment.drawing}});
  return experiment;
}

}  // namespace segue::paper
