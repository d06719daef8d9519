#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "evaluation/accuracy/accuracy.h"
#include "evaluation/accuracy/measured.h"
#include "evaluation/accuracy/predict.h"
#include "segue/cost.h"
#include "segue/segmentation.h"
#include "segue/zoo.h"

namespace segue {
namespace {

void add_row(MemoryAccuracy& group, double reported_mib, double simulated_mib) {
  constexpr double kNearMib = 0.05;
  constexpr double kNearShare = 0.05;
  const double error = std::abs(simulated_mib - reported_mib);
  ++group.rows;
  if (reported_mib > 0) ++group.rows_off_chip;
  if (error <= std::max(kNearMib, kNearShare * reported_mib)) ++group.rows_near;
  group.mean_mib += error;  // a sum, which is divided when all rows are added
  group.worst_mib = std::max(group.worst_mib, error);
}

double host_mib(const Graph& graph, std::span<const OperatorId> operators) {
  const auto compiler = make_simulated_compiler(find_device("edgetpu-pcie"));
  return to_mib(compiler->totals(graph, operators).host_bytes);
}

double whole_host_mib(const std::string& name) {
  const Model model = open_model(name);
  const Graph graph(model);
  return host_mib(graph, graph.operators_between(1, graph.depth()));
}

MemoryAccuracy tails(const std::string& network) {
  MemoryAccuracy group{.title = fmt::format("tails of Keras {}", network)};
  const Model model = open_model("zoo:" + network);
  const Graph graph(model);
  for (const TailMemoryRow& row : keras_tails()) {
    if (network != row.model) continue;
    const std::vector<std::string> cut{row.behind};
    add_row(group, row.host_mib, host_mib(graph, segment_at(graph, cut).segments.at(1)));
  }
  return group;
}

MemoryAccuracy on_card() {
  MemoryAccuracy group{.title = "ResNet101 in 1 to 8 segments on a card, in sum"};
  const Model model = open_model("zoo:resnet101");
  const Graph graph(model);
  for (const CardMemoryRow& row : resnet101_on_card()) {
    const CardPipeline pipeline = predict_on_card(graph, row.tpus);
    add_row(group, row.host_mib, to_mib(pipeline.host_bytes));
  }
  return group;
}

}  // namespace

std::vector<MemoryAccuracy> evaluate_memory() {
  std::vector<MemoryAccuracy> groups{{.title = "5 x conv 3x3, one TPU"},
                                     {.title = "dense 64 -> N x 4 -> 10, one TPU"}};
  for (const ReportedMemoryRow& row : conv_sweep_memory())
    add_row(groups[0], row.host_mib, whole_host_mib(fmt::format("zoo:conv5-f{}", row.size)));
  for (const ReportedMemoryRow& row : dense_sweep_memory())
    add_row(groups[1], row.host_mib, whole_host_mib(fmt::format("zoo:dense4-n{}", row.size)));
  for (const char* network : {"resnet50", "resnet101", "xception"})
    groups.push_back(tails(network));
  groups.push_back(on_card());
  for (MemoryAccuracy& group : groups) group.mean_mib /= static_cast<double>(group.rows);
  return groups;
}

std::string memory_markdown(std::span<const MemoryAccuracy> groups) {
  std::string text =
      "| segments | rows | off chip | within 0.05 MiB or 5 % | mean, MiB | worst, MiB |\n"
      "|---|--:|--:|--:|--:|--:|\n";
  for (const MemoryAccuracy& group : groups)
    text += fmt::format("| {} | {} | {} | {} | {:.3f} | {:.3f} |\n", group.title, group.rows,
                        group.rows_off_chip, group.rows_near, group.mean_mib, group.worst_mib);
  return text;
}

}  // namespace segue
