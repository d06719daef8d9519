// The final comparison: Segm_Comp, Segm_Prof and Segm_Balanced against one TPU.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "evaluation/paper/experiments.h"
#include "evaluation/paper/write_up.h"
#include "report/internal/plan_words.h"

namespace segue::paper {
namespace {

constexpr std::array kStrategies{"compiler", "profile", "balanced"};
constexpr std::array kTitles{"Segm_Comp", "Segm_Prof", "Segm_Balanced"};

const Plan& plan_of(const Plans& plans, std::size_t strategy) {
  return strategy == 0 ? plans.compiler : strategy == 1 ? plans.profile : plans.balanced;
}

// Returns the speed-up over one TPU in batches of 15.
double speedup(const NetworkPlans& network, const Plan& plan, const DeviceSpec& device) {
  return to_s(network.one_tpu()) / to_s(batch_time(plan, device));
}

double batch_ratio(const Plans& plans, const DeviceSpec& device) {
  return to_s(batch_time(plans.compiler, device)) / to_s(batch_time(plans.balanced, device));
}

// With `tpus` 0, each network has the number of TPUs of the paper's rule, if that is more than one.
figure::DotRows chart_of_networks(const std::vector<NetworkPlans>& networks, std::uint32_t tpus,
                                  const DeviceSpec& device) {
  figure::DotRows chart{"Speed-up over one TPU", "speed-up over one TPU, batches of 15", {}, {}};
  chart.limit_title = "number of TPUs: beyond is super-linear";
  for (std::size_t s = 0; s < kStrategies.size(); ++s)
    chart.series.push_back({kStrategies.at(s), kTitles.at(s), look_of(kStrategies.at(s)), {}});
  for (const NetworkPlans& network : networks) {
    const std::uint32_t count = tpus > 0 ? tpus : network.network.tpus;
    if (count == 1) continue;
    chart.rows.push_back(fmt::format("{} ({})", network.network.name, count));
    chart.limits.push_back(count);
    for (std::size_t s = 0; s < kStrategies.size(); ++s)
      chart.series[s].values.emplace_back(speedup(network, plan_of(network.on(count), s), device));
  }
  return chart;
}

Table rule_table(const std::vector<NetworkPlans>& networks, const DeviceSpec& device) {
  Table table{{{"model", Table::Align::kLeft},
               {"TPUs"},
               {"one_TPU_ms"},
               {"Segm_Comp"},
               {"Segm_Prof"},
               {"Segm_Balanced"},
               {"Balanced_over_Comp"},
               {"Segm_Comp_host_MiB"},
               {"super-linear", Table::Align::kLeft}},
              {}};
  for (const NetworkPlans& network : networks) {
    const std::uint32_t tpus = network.network.tpus;
    if (tpus == 1) continue;
    const Plans& plans = network.on(tpus);
    std::string linear;
    for (std::size_t s = 0; s < kStrategies.size(); ++s) {
      if (speedup(network, plan_of(plans, s), device) <= tpus) continue;
      linear += fmt::format("{}{}", linear.empty() ? "" : ", ", kTitles.at(s));
    }
    table.rows.push_back({network.network.name, std::to_string(tpus), format_ms(network.one_tpu()),
                          fmt::format("{:.2f}", speedup(network, plans.compiler, device)),
                          fmt::format("{:.2f}", speedup(network, plans.profile, device)),
                          fmt::format("{:.2f}", speedup(network, plans.balanced, device)),
                          fmt::format("{:.2f}", batch_ratio(plans, device)),
                          format_mib(plans.compiler.host_bytes()), linear});
  }
  return table;
}

Table all_table(const std::vector<NetworkPlans>& networks, const DeviceSpec& device) {
  Table table{{{"model", Table::Align::kLeft},
               {"TPUs"},
               {"strategy", Table::Align::kLeft},
               {"ms_per_input_batch_15"},
               {"speed_up_batch_15"},
               {"ms_between_results"},
               {"latency_ms"},
               {"host_MiB"}},
              {}};
  for (const NetworkPlans& network : networks) {
    for (std::uint32_t tpus = 1; tpus <= kMostTpus; ++tpus) {
      for (std::size_t s = 0; s < kStrategies.size(); ++s) {
        const Plan& plan = plan_of(network.on(tpus), s);
        const Nanoseconds batch = batch_time(plan, device);
        table.rows.push_back({network.network.name, std::to_string(tpus), plan.strategy_key(),
                              fmt::format("{:.3f}", to_ms(batch)),
                              fmt::format("{:.3f}", to_s(network.one_tpu()) / to_s(batch)),
                              fmt::format("{:.3f}", to_ms(plan.predicted.bottleneck)),
                              fmt::format("{:.3f}", to_ms(plan.predicted.latency)),
                              format_mib(plan.host_bytes())});
      }
    }
  }
  return table;
}

// Returns the number of TPUs, from 2, with the largest gain of Segm_Balanced over Segm_Comp. Among
// equal ones it prefers the rule's number.
std::uint32_t best_count(const NetworkPlans& network) {
  const auto gain = [&](std::uint32_t tpus) {
    return ratio(network.on(tpus).compiler, network.on(tpus).balanced);
  };
  std::uint32_t best = std::max(network.network.tpus, 2U);
  for (std::uint32_t tpus = 2; tpus <= kMostTpus; ++tpus) {
    if (gain(tpus) > gain(best) + 1e-9) best = tpus;
  }
  return best;
}

Table ratio_table(const std::vector<NetworkPlans>& networks, const DeviceSpec& device) {
  Table table{{{"model", Table::Align::kLeft},
               {"TPUs"},
               {"Balanced_over_Comp"},
               {"in_batches_of_15"},
               {"optimal_over_Comp"},
               {"slowest_of_Comp_ms"},
               {"streaming_ms"},
               {"transfers_ms"}},
              {}};
  for (const NetworkPlans& network : networks) {
    const std::uint32_t best = best_count(network);
    std::vector<std::uint32_t> rows{best};
    if (network.network.tpus > 1 && network.network.tpus != best)
      rows.insert(rows.begin(), network.network.tpus);
    for (const std::uint32_t tpus : rows) {
      const Plans& plans = network.on(tpus);
      const SegmentTime& slowest = plans.compiler.stages[slowest_stage(plans.compiler)].time;
      table.rows.push_back({network.network.name, std::to_string(tpus),
                            fmt::format("{:.2f}", ratio(plans.compiler, plans.balanced)),
                            fmt::format("{:.2f}", batch_ratio(plans, device)),
                            fmt::format("{:.2f}", ratio(plans.compiler, plans.pure)),
                            format_ms(slowest.total()), format_ms(slowest.streaming),
                            format_ms(slowest.input + slowest.output)});
    }
  }
  return table;
}

// A largest ratio and where it is.
struct Best {
  double ratio = 0;
  std::string model;
  std::uint32_t tpus = 0;
  [[nodiscard]] std::string text() const {
    return fmt::format("{:.2f} ({} on {} TPUs)", ratio, model, tpus);
  }
};
template <typename Value>
Best largest(const std::vector<NetworkPlans>& networks, bool by_rule, const Value& value) {
  Best best;
  for (const NetworkPlans& network : networks) {
    for (std::uint32_t tpus = 2; tpus <= kMostTpus; ++tpus) {
      if (by_rule && tpus != network.network.tpus) continue;
      const double one = value(network.on(tpus));
      if (one > best.ratio) best = {one, network.network.name, tpus};
    }
  }
  return best;
}

// Counts the CNNs on the rule's number of TPUs for which a strategy is super-linear.
std::size_t count_superlinear(const std::vector<NetworkPlans>& networks, std::size_t strategy,
                              const DeviceSpec& device) {
  return static_cast<std::size_t>(std::ranges::count_if(networks, [&](const NetworkPlans& network) {
    const std::uint32_t tpus = network.network.tpus;
    return tpus > 1 && speedup(network, plan_of(network.on(tpus), strategy), device) > tpus;
  }));
}

// "48 of 147": how often Segm_Balanced is slower than Segm_Comp, over all networks on 2 to 8 TPUs.
std::string count_slower(const std::vector<NetworkPlans>& networks, const DeviceSpec& device) {
  std::size_t slower = 0;
  std::size_t all = 0;
  for (const NetworkPlans& network : networks) {
    for (std::uint32_t tpus = 2; tpus <= kMostTpus; ++tpus) {
      slower += batch_ratio(network.on(tpus), device) < 1 ? 1 : 0;
      ++all;
    }
  }
  return fmt::format("{} of {}", slower, all);
}

}  // namespace

Experiment comparison_experiment(Evaluation& evaluation) {
  const auto& networks = evaluation.networks();
  const DeviceSpec& device = Evaluation::device();
  const auto gain = [&](const Plans& plans) { return batch_ratio(plans, device); };
  const Best any = largest(networks, false, gain);
  const Best rule = largest(networks, true, gain);
  const Best long_run = largest(
      networks, false, [](const Plans& plans) { return ratio(plans.compiler, plans.balanced); });
  const Best bound =
      largest(networks, true, [](const Plans& plans) { return ratio(plans.compiler, plans.pure); });

  const Table by_rule = rule_table(networks, device);
  Experiment experiment{
      "comparison",
      "Table: Segm_Comp, Segm_Prof and Segm_Balanced against one TPU",
      fmt::format("With the number of TPUs of the size rule, Segm_Balanced is super-linear for {} "
                  "of {} CNNs, Segm_Comp for {}. Segm_Balanced is at most {} times as fast as "
                  "Segm_Comp in batches of 15; the paper reports up to 2.60.",
                  count_superlinear(networks, 2, device), by_rule.rows.size(),
                  count_superlinear(networks, 0, device), any.text()),
      "",
      {{"by_rule", "Speed-ups over one TPU, batches of 15, simulated", by_rule},
       {"ratios", "Segm_Balanced against Segm_Comp, simulated", ratio_table(networks, device)},
       {"all", "Every strategy on 1 to 8 TPUs, simulated", all_table(networks, device)}},
      {chart_of("speed_up", "As many TPUs as the rule gives (in brackets), simulated",
                chart_of_networks(networks, 0, device))}};
  for (std::uint32_t tpus = 2; tpus <= kMostTpus; ++tpus) {
    experiment.charts.push_back(chart_of(fmt::format("speed_up_{}", tpus),
                                         fmt::format("On {} TPUs, simulated", tpus),
                                         chart_of_networks(networks, tpus, device), tpus));
  }
  write_readme(experiment, {{"largest", any.text()},
                            {"largest by rule", rule.text()},
                            {"bound", bound.text()},
                            {"largest in the long run", long_run.text()},
                            {"slower", count_slower(networks, device)}});
  return experiment;
}

}  // namespace segue::paper
