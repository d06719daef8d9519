// Measures planning for eight TPUs with and without replicas and for two kinds of devices. It also
// measures the checker of certificates, which is the same dynamic program without bounds and
// orders, and the best horizontal cuts by a profile of simulated latencies.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <map>

#include "segue/plan.h"
#include "segue/planner.h"
#include "segue/segmentation.h"
#include "segue/zoo.h"

namespace segue {
namespace {

constexpr std::uint32_t kTpus = 8;

const Model& model_of(const std::string& name) {
  static std::map<std::string, Model> models;
  const auto known = models.find(name);
  if (known != models.end()) return known->second;
  return models.emplace(name, open_model("zoo:" + name)).first->second;
}

void plan(benchmark::State& state, const char* name, const char* device, std::uint32_t replicas) {
  const Graph graph(model_of(name));
  OptimalSegmentation best;
  for (auto _ : state)
    best = segment_optimal(graph, find_device(device), kTpus, {.max_replicas = replicas});
  state.counters["proven"] = best.bound.is_proven ? 1 : 0;
  state.counters["ideals"] = static_cast<double>(best.ideals);
}

void plan_unequal(benchmark::State& state, const char* name) {
  const Graph graph(model_of(name));
  const auto pools = open_devices("4xedgetpu-usb3:shared,4xedgetpu-pcie", 0);
  for (auto _ : state) benchmark::DoNotOptimize(segment_optimal(graph, pools).bottleneck);
}

void check(benchmark::State& state, const char* name) {
  const Graph graph(model_of(name));
  const auto pools = open_devices("edgetpu-pcie", kTpus);
  const auto best = segment_optimal(graph, pools);
  Plan plan = make_plan(graph, best.segmentation, pools, Strategy::kOptimal, best.devices);
  plan.bound = best.bound;
  for (auto _ : state) {
    if (!check_certificate(plan, graph, pools).is_accepted) std::abort();
  }
}

void profile(benchmark::State& state, const char* name) {
  const Graph graph(model_of(name));
  for (auto _ : state) {
    Profile latencies = Profile::simulated(graph, find_device("edgetpu-pcie"));
    benchmark::DoNotOptimize(segment_profiled(latencies, kTpus).slowest);
  }
}

constexpr auto kMs = benchmark::kMillisecond;

#define SEGUE_PLAN(name)                                                          \
  BENCHMARK_CAPTURE(plan, name##_pcie, #name, "edgetpu-pcie", 0)->Unit(kMs);      \
  BENCHMARK_CAPTURE(plan, name##_usb3, #name, "edgetpu-usb3", 0)->Unit(kMs);      \
  BENCHMARK_CAPTURE(plan, name##_pcie_pure, #name, "edgetpu-pcie", 1)->Unit(kMs); \
  BENCHMARK_CAPTURE(plan, name##_usb3_pure, #name, "edgetpu-usb3", 1)->Unit(kMs)

SEGUE_PLAN(resnet50);
SEGUE_PLAN(resnet152);
SEGUE_PLAN(densenet201);
SEGUE_PLAN(inceptionresnetv2);
SEGUE_PLAN(inceptionv3);
SEGUE_PLAN(inceptionv4);
SEGUE_PLAN(nasnetmobile);
BENCHMARK_CAPTURE(plan_unequal, resnet50, "resnet50")->Unit(kMs);
BENCHMARK_CAPTURE(plan_unequal, resnet152, "resnet152")->Unit(kMs);
BENCHMARK_CAPTURE(check, resnet50, "resnet50")->Unit(kMs);
BENCHMARK_CAPTURE(check, resnet152, "resnet152")->Unit(kMs);
BENCHMARK_CAPTURE(profile, resnet152, "resnet152")->Unit(kMs);
BENCHMARK_CAPTURE(profile, densenet201, "densenet201")->Unit(kMs);

}  // namespace
}  // namespace segue
