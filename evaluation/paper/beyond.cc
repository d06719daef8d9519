// Optimal cuts and replicas, and where their gain comes from.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "evaluation/paper/experiments.h"
#include "evaluation/paper/tables.h"
#include "evaluation/paper/write_up.h"
#include "report/internal/plan_words.h"
#include "segue/cost.h"

namespace segue::paper {
namespace {

constexpr std::array kCounts{2U, 4U, 6U, 8U};

double per_s(const Plan& plan) { return plan.predicted.throughput_per_s; }

// Returns the plan's time between results if nothing had to be streamed.
Nanoseconds pace_without_streaming(const Plan& plan) {
  Nanoseconds slowest{0};
  for (const Stage& stage : plan.stages)
    slowest = std::max(slowest, stage.time.total() - stage.time.streaming);
  return slowest;
}

// Returns a gain and the three factors whose product it is.
std::array<double, 4> gains_of(const NetworkPlans& network) {
  const Plans& plans = network.on(kMostTpus);
  const Nanoseconds resident = pace_without_streaming(plans.balanced);
  return {ratio(plans.balanced, plans.full),
          to_s(plans.balanced.predicted.bottleneck) / to_s(resident),
          to_s(resident) / to_s(plans.pure.predicted.bottleneck), ratio(plans.pure, plans.full)};
}

double geometric_mean(const std::vector<double>& values) {
  double log_sum = 0;
  for (const double value : values) log_sum += std::log(value);
  return std::exp(log_sum / static_cast<double>(values.size()));
}

Table gains_table(const std::vector<NetworkPlans>& networks) {
  Table table{{{"8 TPUs", Table::Align::kLeft},
               {"planner_over_Balanced"},
               {"bytes"},
               {"cuts"},
               {"replicas"}},
              {}};
  std::array<std::vector<double>, 4> columns;
  for (const NetworkPlans& network : networks) {
    const auto gains = gains_of(network);
    table.rows.push_back({network.network.name});
    for (std::size_t i = 0; i < gains.size(); ++i) {
      columns.at(i).push_back(gains.at(i));
      table.rows.back().push_back(fmt::format("{:.2f}", gains.at(i)));
    }
  }
  table.rows.push_back({"geometric mean"});
  for (const auto& column : columns)
    table.rows.back().push_back(fmt::format("{:.2f}", geometric_mean(column)));
  return table;
}

figure::DotRows chart_of_networks(const std::vector<NetworkPlans>& networks, std::uint32_t tpus) {
  figure::DotRows chart{
      fmt::format("Speed-up over one TPU on {} TPUs", tpus),
      "results per second, over those of one TPU",
      {},
      {{"balanced", "Segm_Balanced", look_of("balanced"), {}},
       {"profile", "Segm_Prof", look_of("profile"), {}},
       {"pure", "optimal, no replicas", {"input", figure::Shape::kSquare, ""}, {}},
       {"optimal", "planner", look_of("optimal"), {}}}};
  for (const NetworkPlans& network : networks) {
    const Plans& plans = network.on(tpus);
    chart.rows.emplace_back(network.network.name);
    const std::array<const Plan*, 4> shown{&plans.balanced, &plans.profile, &plans.pure,
                                           &plans.full};
    for (std::size_t s = 0; s < shown.size(); ++s)
      chart.series[s].values.emplace_back(shown.at(s)->predicted.speedup);
  }
  return chart;
}

std::size_t count_proven(const std::vector<NetworkPlans>& networks) {
  std::size_t proven = 0;
  for (const NetworkPlans& network : networks) {
    proven += static_cast<std::size_t>(std::ranges::count_if(
        network.by_tpus, [](const Plans& plans) { return plans.full.bound->is_proven; }));
  }
  return proven;
}

}  // namespace

double planner_over_balanced(const std::vector<NetworkPlans>& networks, std::uint32_t tpus) {
  std::vector<double> ratios;
  ratios.reserve(networks.size());
  for (const NetworkPlans& network : networks)
    ratios.push_back(ratio(network.on(tpus).balanced, network.on(tpus).full));
  return geometric_mean(ratios);
}

Table throughput_table(const std::vector<NetworkPlans>& networks, std::uint32_t tpus) {
  Table table{{{fmt::format("{} TPUs", tpus), Table::Align::kLeft},
               {"Segm_Comp"},
               {"Segm_Balanced"},
               {"Segm_Prof"},
               {"optimal, no replicas"},
               {"stages"},
               {"planner"},
               {"TPUs per stage", Table::Align::kLeft}},
              {}};
  for (const NetworkPlans& network : networks) {
    const Plans& plans = network.on(tpus);
    table.rows.push_back(
        {network.network.name, fmt::format("{:.1f}", per_s(plans.compiler)),
         fmt::format("{:.1f}", per_s(plans.balanced)), fmt::format("{:.1f}", per_s(plans.profile)),
         fmt::format("{:.1f}", per_s(plans.pure)), std::to_string(plans.pure.stages.size()),
         fmt::format("{:.1f}", per_s(plans.full)), replicas_text(plans.full)});
  }
  return table;
}

Experiment beyond_experiment(Evaluation& evaluation) {
  const auto& networks = evaluation.networks();
  Experiment experiment{
      "beyond",
      "Beyond the paper: optimal cuts, and several TPUs on slow stages",
      fmt::format(
          "On eight TPUs the planner gives {:.2f} times the throughput of Segm_Balanced "
          "(geometric mean of {} CNNs); {} of its {} plans are proven optimal under the model.",
          planner_over_balanced(networks, kMostTpus), networks.size(), count_proven(networks),
          networks.size() * kMostTpus),
      "",
      {{"gains", "Where the gain comes from", gains_table(networks)}},
      {}};
  std::map<std::string, std::string> means;
  for (const std::uint32_t tpus : kCounts) {
    experiment.tables.push_back({fmt::format("throughput_{}", tpus),
                                 fmt::format("Results per second on {} TPUs, simulated", tpus),
                                 throughput_table(networks, tpus)});
    experiment.charts.push_back(chart_of(fmt::format("speed_up_{}", tpus),
                                         fmt::format("On {} TPUs, simulated", tpus),
                                         chart_of_networks(networks, tpus), tpus));
    means[fmt::format("mean {}", tpus)] =
        fmt::format("{:.2f}", planner_over_balanced(networks, tpus));
  }
  write_readme(experiment, means);
  return experiment;
}

}  // namespace segue::paper
