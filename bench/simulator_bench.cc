// Measures the array in closed form and cycle by cycle on SCALE-Sim v2's layers, times of operator
// ranges, and a long timeline. Results are checked before they are timed.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <numeric>

#include "evaluation/array/array.h"
#include "segue/cost.h"
#include "segue/timeline.h"
#include "segue/zoo.h"

namespace segue {
namespace {

// SCALE-Sim v2 (weight stationary, 64x64) takes 1.5 s for these 27792 cycles on a similar machine.
constexpr std::uint64_t kScaleSimCycles = 27792;
const ProductShape& scale_sim_layer() {
  static const ProductShape kLayer = as_product({.height = 16,
                                                 .width = 16,
                                                 .input_channels = 128,
                                                 .kernel_height = 3,
                                                 .kernel_width = 3,
                                                 .stride = 1,
                                                 .channels = 256});
  return kLayer;
}

void array_closed_form(benchmark::State& state) {
  const ArrayShape array{64, 64};
  ProductShape layer = scale_sim_layer();
  if (product_cycles(array, layer) != kScaleSimCycles) std::abort();
  for (auto _ : state) {
    benchmark::DoNotOptimize(layer);
    benchmark::DoNotOptimize(product_cycles(array, layer));
  }
}
BENCHMARK(array_closed_form);

void array_cycle_by_cycle(benchmark::State& state) {
  const ProductShape& layer = scale_sim_layer();
  const std::vector<std::int8_t> activations(layer.pixels * layer.depth, 3);
  const std::vector<std::int8_t> weights(layer.depth * layer.channels, 2);
  if (run_array({64, 64}, layer, activations, weights).cycles != kScaleSimCycles) std::abort();
  for (auto _ : state) {
    benchmark::DoNotOptimize(run_array({64, 64}, layer, activations, weights).result.data());
  }
}
BENCHMARK(array_cycle_by_cycle)->Unit(benchmark::kMillisecond);

std::vector<OperatorId> range(std::size_t begin, std::size_t end) {
  std::vector<OperatorId> result;
  for (std::size_t i = begin; i < end; ++i) result.push_back(operator_id(i));
  return result;
}

// Measures the naive method, which compiles and simulates each range separately.
void one_range_alone(benchmark::State& state) {
  const Model model = open_model("zoo:resnet152");
  const Graph graph(model);
  const DeviceSpec& device = find_device("edgetpu-pcie");
  const auto compiler = make_simulated_compiler(device);
  const auto operators = range(20, 120);
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        simulate_segment(graph, operators, compiler->compile(graph, operators), device).total());
  }
}
BENCHMARK(one_range_alone)->Unit(benchmark::kMicrosecond);

void timeline(benchmark::State& state) {
  std::vector<StageLoad> stages(8);
  for (std::size_t s = 0; s < stages.size(); ++s) {
    stages[s].time.fixed = std::chrono::microseconds(100);
    stages[s].time.input = std::chrono::microseconds(300);
    stages[s].time.compute = std::chrono::microseconds(2000 + 100 * s);
    stages[s].time.output = std::chrono::microseconds(500);
  }
  TimelineOptions options = timeline_options(stages, find_device("edgetpu-pcie"));
  options.inputs = 10'000;
  const Timeline once = simulate_timeline(stages, options);
  if (once.makespan < stages.back().time.total() * 10'000) std::abort();
  for (auto _ : state) benchmark::DoNotOptimize(simulate_timeline(stages, options).makespan);
}
BENCHMARK(timeline)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace segue
