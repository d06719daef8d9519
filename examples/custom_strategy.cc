// A strategy of one's own: any cuts become a plan, with all its numbers. Here each segment gets as
// many depths of the graph as the others; beside it what the balanced strategy does.
#include <segue/cost.h>
#include <segue/error.h>
#include <segue/planner.h>
#include <segue/zoo.h>

#include <cstdio>

namespace {

// Horizontal cuts are always legal: every operator reads only from smaller depths.
segue::Segmentation segment_evenly(const segue::Graph& graph, std::uint32_t count) {
  segue::Segmentation segmentation;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t first = graph.depth() * i / count + 1;
    const std::uint32_t last = graph.depth() * (i + 1) / count;
    segmentation.segments.push_back(graph.operators_between(first, last));
  }
  return segmentation;
}

void show(const char* name, const segue::Plan& plan) {
  std::printf("%-8s  %6.2f ms per input, %5.2f MiB from the host (simulated)\n", name,
              segue::to_ms(plan.predicted.bottleneck), segue::to_mib(plan.host_bytes()));
}

}  // namespace

int main() {
  try {
    const segue::Model model = segue::open_model("zoo:resnet50");
    const segue::Graph graph(model);
    const segue::DeviceSpec& device = segue::find_device("edgetpu-pcie");
    const auto compiler = segue::make_simulated_compiler(device);
    const segue::Segmentation even = segment_evenly(graph, 4);
    segue::check_segmentation(graph, even);
    show("even", segue::make_plan(graph, even, *compiler, device, segue::Strategy::kManual));
    const segue::DevicePool tpus{device, 4};
    show("balanced", segue::plan_by_strategy(graph, {&tpus, 1}, segue::Strategy::kBalanced).plan);
  } catch (const segue::Error& error) {
    std::fprintf(stderr, "custom_strategy: %s\n", error.what());
    return 1;
  }
}
