// The paper's figure 5.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "evaluation/paper/experiments.h"
#include "evaluation/paper/write_up.h"
#include "report/internal/causes.h"
#include "segue/cost.h"
#include "segue/timeline.h"
#include "segue/zoo.h"

namespace segue::paper {
namespace {

constexpr const char* kModel = "conv5-f552";
constexpr std::uint32_t kTpus = 3;
constexpr std::uint64_t kInputs = 4;

std::vector<figure::Lanes::Cause> causes() {
  constexpr std::array kPaints{"fixed", "input", "compute", "striped", "output", "balanced"};
  std::vector<figure::Lanes::Cause> result;
  for (std::size_t i = 0; i < kCauses.size(); ++i) result.push_back({kCauses[i], kPaints[i]});
  return result;
}

Timeline timeline_of(const Plan& plan, const DeviceSpec& device) {
  const auto loads = stage_loads(plan);
  TimelineOptions options = timeline_options(loads, device);
  options.inputs = kInputs;
  options.records_events = true;
  return simulate_timeline(loads, options);
}

// Adds the activities of a timeline's devices, beginning in lane `first_lane`.
void add_lanes(figure::Lanes& chart, const Timeline& timeline, std::size_t first_lane) {
  std::map<std::pair<std::uint32_t, std::uint64_t>, figure::Lanes::Label> inputs;
  for (const TimelineEvent& event : timeline.events) {
    const auto cause = cause_of(event.activity);
    if (!cause || event.begin == event.end) continue;
    const std::size_t lane = first_lane + event.device;
    const double begin = to_ms(event.begin);
    const double end = to_ms(event.end);
    chart.spans.push_back({lane, begin, end, *cause});
    const auto [label, is_new] =
        inputs.try_emplace({event.device, event.input},
                           figure::Lanes::Label{lane, begin, end, std::to_string(event.input)});
    label->second.end = std::max(label->second.end, end);
  }
  for (auto& [key, label] : inputs) chart.labels.push_back(std::move(label));
}

Table table_of(const Plan& one, const Plan& three) {
  Table table{{{"placement", Table::Align::kLeft},
               {"TPU"},
               {"operators"},
               {"on_chip_MiB"},
               {"host_MiB"},
               {"ms"},
               {"streaming_ms"}},
              {}};
  const auto add = [&](const char* placement, const Plan& plan) {
    for (std::size_t s = 0; s < plan.stages.size(); ++s) {
      const Stage& stage = plan.stages[s];
      table.rows.push_back({placement, std::to_string(s), std::to_string(stage.operators.size()),
                            format_mib(stage.on_chip_bytes), format_mib(stage.host_bytes),
                            format_ms(stage.time.total()), format_ms(stage.time.streaming)});
    }
  };
  add("one TPU", one);
  add("three TPUs", three);
  return table;
}

}  // namespace

Experiment host_layers_experiment(Evaluation& /*nothing of it is needed*/) {
  const DeviceSpec& device = Evaluation::device();
  const Model model = open_model(fmt::format("zoo:{}", kModel));
  const Graph graph(model);
  const auto compiler = make_simulated_compiler(device);
  const Plan one = even_plan(graph, segment_as_vendor(graph, 1), device, Strategy::kCompiler);
  const Plan three = even_plan(graph, segment_balanced(graph, kTpus, *compiler).segmentation,
                               device, Strategy::kBalanced);
  figure::Lanes chart{
      "One TPU with host layers, and three without", "ms", {"one TPU"}, causes(), {}, {}};
  for (std::uint32_t i = 0; i < kTpus; ++i) chart.names.push_back(fmt::format("TPU {} of 3", i));
  add_lanes(chart, timeline_of(one, device), 0);
  add_lanes(chart, timeline_of(three, device), 1);
  const double streamed = to_s(one.stages[0].time.streaming) / to_s(one.stages[0].time.total());
  Experiment experiment{
      "figure5",
      "Figure 5: one TPU with layers on the host against three TPUs",
      fmt::format("{} streams {} MiB at each inference on one TPU, {:.0f} % of its {} ms. On three "
                  "TPUs, {} is streamed: one result per {} ms, {:.2f} times the throughput.",
                  kModel, format_mib(one.host_bytes()), 100 * streamed,
                  format_ms(one.predicted.single_device),
                  three.host_bytes() == 0 ? "nothing" : format_bytes(three.host_bytes()),
                  format_ms(three.predicted.bottleneck), three.predicted.speedup),
      "",
      {{"stages", "What each TPU keeps and does", table_of(one, three)}},
      {chart_of("timeline", fmt::format("{} inputs of {}, simulated", kInputs, kModel), chart)}};
  write_readme(experiment);
  return experiment;
}

}  // namespace segue::paper
