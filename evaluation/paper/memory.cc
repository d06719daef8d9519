// Shows the bytes that each TPU keeps and those streamed to it.
#include <fmt/format.h>

#include <algorithm>

#include "evaluation/paper/experiments.h"
#include "evaluation/paper/write_up.h"

namespace segue::paper {
namespace {

figure::MemoryGroups::Strip strip_of(const char* key, const char* title, const Plan& plan) {
  figure::MemoryGroups::Strip strip{key, title, {}};
  for (const Stage& stage : plan.stages)
    strip.bars.push_back({to_mib(stage.on_chip_bytes), to_mib(stage.host_bytes)});
  return strip;
}

figure::MemoryGroups chart_of_networks(const std::vector<NetworkPlans>& networks, double capacity) {
  figure::MemoryGroups chart{"Memory of each TPU under Segm_Comp and Segm_Balanced", capacity, {}};
  for (const NetworkPlans& network : networks) {
    if (network.network.tpus == 1) continue;
    const Plans& plans = network.on(network.network.tpus);
    chart.groups.push_back({network.network.name,
                            {strip_of("compiler", "Segm_Comp", plans.compiler),
                             strip_of("balanced", "Segm_Balanced", plans.balanced)}});
  }
  return chart;
}

Table summary_table(const std::vector<NetworkPlans>& networks) {
  Table table{{{"model", Table::Align::kLeft},
               {"TPUs"},
               {"parameters_MiB"},
               {"one_TPU_host_MiB"},
               {"Segm_Comp_host_MiB"},
               {"Segm_Comp_largest_MiB"},
               {"Segm_Balanced_host_MiB"},
               {"Segm_Balanced_largest_MiB"}},
              {}};
  for (const NetworkPlans& network : networks) {
    if (network.network.tpus == 1) continue;
    const Plans& plans = network.on(network.network.tpus);
    table.rows.push_back({network.network.name, std::to_string(network.network.tpus),
                          format_mib(network.model().parameter_bytes),
                          format_mib(network.on(1).compiler.host_bytes()),
                          format_mib(plans.compiler.host_bytes()),
                          format_mib(plans.compiler.largest_stage_parameter_bytes()),
                          format_mib(plans.balanced.host_bytes()),
                          format_mib(plans.balanced.largest_stage_parameter_bytes())});
  }
  return table;
}

Table tpus_table(const std::vector<NetworkPlans>& networks) {
  Table table{{{"model", Table::Align::kLeft},
               {"strategy", Table::Align::kLeft},
               {"TPUs"},
               {"TPU"},
               {"parameters_bytes"},
               {"on_chip_bytes"},
               {"host_bytes"}},
              {}};
  for (const NetworkPlans& network : networks) {
    const std::uint32_t tpus = network.network.tpus;
    for (const Plan* plan : {&network.on(tpus).compiler, &network.on(tpus).balanced}) {
      for (std::size_t s = 0; s < plan->stages.size(); ++s) {
        const Stage& stage = plan->stages[s];
        table.rows.push_back({network.network.name, plan->strategy_key(), std::to_string(tpus),
                              std::to_string(s), std::to_string(stage.parameter_bytes),
                              std::to_string(stage.on_chip_bytes),
                              std::to_string(stage.host_bytes)});
      }
    }
  }
  return table;
}

}  // namespace

Experiment memory_experiment(Evaluation& evaluation) {
  const auto& networks = evaluation.networks();
  std::uint64_t one = 0;
  std::uint64_t vendor = 0;
  std::uint64_t balanced = 0;
  std::size_t count = 0;
  for (const NetworkPlans& network : networks) {
    if (network.network.tpus == 1) continue;
    const Plans& plans = network.on(network.network.tpus);
    ++count;
    one += network.on(1).compiler.host_bytes();
    vendor += plans.compiler.host_bytes();
    balanced += plans.balanced.host_bytes();
  }
  const double capacity = to_mib(parameter_capacity(Evaluation::device().memory, 0));
  Experiment experiment{
      "memory",
      "Table: memory of each TPU under Segm_Comp and Segm_Balanced",
      fmt::format(
          "{} CNNs together stream {} MiB per inference on one TPU each; with the number of TPUs "
          "of the size rule, {} MiB under Segm_Comp and {} MiB under Segm_Balanced.",
          count, format_mib(one), format_mib(vendor), format_mib(balanced)),
      "",
      {{"summary", "Host bytes and largest segments, simulated", summary_table(networks)},
       {"tpus", "Each TPU, simulated", tpus_table(networks)}},
      {chart_of("memory", "Parameters on each TPU, simulated",
                chart_of_networks(networks, capacity))}};
  write_readme(experiment);
  return experiment;
}

}  // namespace segue::paper
