// Measures planning ResNet152 for eight devices in the library: each part, the total, Google's
// rule, and, as the naive baseline, the textbook dynamic program for the smallest bottleneck.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdlib>
#include <limits>

#include "segue/plan.h"
#include "segue/segmentation.h"
#include "segue/zoo.h"

namespace segue {
namespace {

constexpr std::size_t kTpus = 8;

const Model& resnet152() {
  static const Model kModel = open_model("zoo:resnet152");
  return kModel;
}

std::uint64_t largest_group(std::span<const Level> levels, const DepthCuts& cuts) {
  std::uint64_t largest = 0;
  std::uint64_t group = 0;
  for (const Level& level : levels) {
    group += level.parameter_bytes;
    largest = std::max(largest, group);
    if (std::ranges::binary_search(cuts, level.depth)) group = 0;
  }
  return largest;
}

// Takes O(count * depth^2); best[k][d] is the smallest bottleneck of the first d levels in k
// groups.
std::uint64_t bottleneck_by_dynamic_program(std::span<const Level> levels, std::size_t count) {
  std::vector<std::uint64_t> best(levels.size() + 1, std::numeric_limits<std::uint64_t>::max());
  best[0] = 0;
  for (std::size_t k = 0; k < count; ++k) {
    std::vector<std::uint64_t> next(best.size(), std::numeric_limits<std::uint64_t>::max());
    for (std::size_t last = 1; last < best.size(); ++last) {
      std::uint64_t group = 0;
      for (std::size_t first = last; first-- > 0;) {
        group += levels[first].parameter_bytes;
        next[last] = std::min(next[last], std::max(best[first], group));
      }
    }
    best = std::move(next);
  }
  return best.back();
}

void build_graph(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(Graph(resnet152()).depth());
}
BENCHMARK(build_graph)->Unit(benchmark::kMicrosecond);

void balance(benchmark::State& state) {
  const Graph graph(resnet152());
  const auto cuts = balance_depths(graph.levels(), kTpus);
  if (largest_group(graph.levels(), cuts) != bottleneck_by_dynamic_program(graph.levels(), kTpus))
    std::abort();
  for (auto _ : state) benchmark::DoNotOptimize(balance_depths(graph.levels(), kTpus));
}
BENCHMARK(balance)->Unit(benchmark::kMicrosecond);

void balance_by_dynamic_program(benchmark::State& state) {
  const Graph graph(resnet152());
  for (auto _ : state)
    benchmark::DoNotOptimize(bottleneck_by_dynamic_program(graph.levels(), kTpus));
}
BENCHMARK(balance_by_dynamic_program)->Unit(benchmark::kMicrosecond);

void vendor_rule(benchmark::State& state) {
  const Graph graph(resnet152());
  for (auto _ : state) benchmark::DoNotOptimize(segment_as_vendor(graph, kTpus));
}
BENCHMARK(vendor_rule)->Unit(benchmark::kMicrosecond);

// Measures `segue plan --strategy balanced` without reading the file. resnet101 on six devices
// needs the refinement's moves, and densenet201 on three its search.
void plan_balanced(benchmark::State& state, const char* name, std::size_t tpus) {
  const Model model = open_model(std::string("zoo:") + name);
  const auto compiler = make_simulated_compiler(find_device("edgetpu-pcie"));
  for (auto _ : state) {
    const Graph graph(model);
    const auto balanced = segment_balanced(graph, tpus, *compiler);
    benchmark::DoNotOptimize(make_plan(graph, balanced.segmentation, *compiler,
                                       find_device("edgetpu-pcie"), Strategy::kBalanced));
  }
}
BENCHMARK_CAPTURE(plan_balanced, resnet152_8, "resnet152", 8)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(plan_balanced, resnet101_6, "resnet101", 6)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(plan_balanced, densenet201_3, "densenet201", 3)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(plan_balanced, inceptionresnetv2_7, "inceptionresnetv2", 7)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace segue
