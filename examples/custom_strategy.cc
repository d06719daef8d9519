// Adds a custom strategy, which is a row of the strategy table that makes a plan from any cuts.
// Here each segment gets an equal number of depths of the graph. The program compares it with the
// library's strategies.
#include <segue/error.h>
#include <segue/planner.h>
#include <segue/report.h>
#include <segue/zoo.h>

#include <cstdio>

namespace {

// Horizontal cuts are always valid: every operator reads only from smaller depths.
segue::StrategyPlan segment_evenly(const segue::StrategyTask& task) {
  const std::uint32_t count = task.pools[0].count;
  const std::uint32_t depth = task.graph.depth();
  segue::Segmentation cuts;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t first = depth * i / count + 1;
    cuts.segments.push_back(task.graph.operators_between(first, depth * (i + 1) / count));
  }
  const std::vector<segue::PoolCounts> devices(count, segue::PoolCounts{1});
  return {segue::make_plan(task.graph, cuts, task.pools, segue::Strategy::kCustom, devices)};
}

}  // namespace

int main() {
  try {
    const segue::Model model = segue::open_model("zoo:resnet50");
    const segue::Graph graph(model);
    const auto known = segue::strategy_table();
    std::vector<segue::StrategyRow> strategies(known.begin(), known.end());
    strategies.push_back(
        {.key = "even", .summary = "equal numbers of depths", .plan = segment_evenly});
    const auto rows = segue::compare_strategies(graph, segue::find_device("edgetpu-pcie"), 4, 4,
                                                {.strategies = strategies});
    std::fputs(segue::compare_text(model.name(), rows).c_str(), stdout);
  } catch (const segue::Error& error) {
    std::fprintf(stderr, "custom_strategy: %s\n", error.what());
    return 1;
  }
}
