// The experiments, one file each.
#pragma once

#include "evaluation/paper/evaluation.h"
#include "evaluation/paper/paper.h"

namespace segue::paper {

[[nodiscard]] Experiment array_experiment(Evaluation& evaluation);
[[nodiscard]] Experiment model_size_experiment(Evaluation& evaluation);
[[nodiscard]] Experiment synthetic_experiment(Evaluation& evaluation);
[[nodiscard]] Experiment host_layers_experiment(Evaluation& evaluation);
[[nodiscard]] Experiment vendor_speedup_experiment(Evaluation& evaluation);
[[nodiscard]] Experiment real_models_experiment(Evaluation& evaluation);
[[nodiscard]] Experiment memory_experiment(Evaluation& evaluation);
[[nodiscard]] Experiment profile_experiment(Evaluation& evaluation);
[[nodiscard]] Experiment comparison_experiment(Evaluation& evaluation);
[[nodiscard]] Experiment beyond_experiment(Evaluation& evaluation);
[[nodiscard]] Experiment detectors_experiment(Evaluation& evaluation);
[[nodiscard]] Experiment sets_experiment(Evaluation& evaluation);
[[nodiscard]] Experiment topologies_experiment(Evaluation& evaluation);
[[nodiscard]] Experiment accuracy_experiment(Evaluation& evaluation);

}  // namespace segue::paper
