#include "evaluation/paper/networks.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

#include "segue/cost.h"
#include "segue/planner.h"
#include "segue/segmentation.h"
#include "segue/timeline.h"
#include "segue/zoo.h"

namespace segue::paper {

Plan optimal_plan(const Graph& graph, const DeviceSpec& device, std::uint32_t tpus,
                  std::uint32_t max_replicas) {
  const DevicePool pool{device, tpus, false};
  const auto best = segment_optimal(graph, std::span(&pool, 1), {max_replicas});
  Plan plan =
      make_plan(graph, best.segmentation, std::span(&pool, 1), Strategy::kOptimal, best.devices);
  plan.bound = best.bound;
  return plan;
}

Plan even_plan(const Graph& graph, const Segmentation& segmentation, const DeviceSpec& device,
               Strategy strategy) {
  const DevicePool pool{device, static_cast<std::uint32_t>(segmentation.segments.size()), false};
  const std::vector<PoolCounts> devices(pool.count, PoolCounts{1});
  return make_plan(graph, segmentation, std::span(&pool, 1), strategy, devices);
}

NetworkPlans plan_network(const Network& network, const DeviceSpec& device) {
  const Model model = open_model(fmt::format("zoo:{}", network.name));
  const Graph graph(model);
  const auto compiler = make_simulated_compiler(device);
  Profile profile = Profile::simulated(graph, device);
  NetworkPlans result{network, {}};
  for (std::uint32_t tpus = 1; tpus <= kMostTpus; ++tpus) {
    result.by_tpus[tpus - 1] = {
        even_plan(graph, segment_as_vendor(graph, tpus), device, Strategy::kCompiler),
        even_plan(graph, segment_balanced(graph, tpus, *compiler).segmentation, device,
                  Strategy::kBalanced),
        even_plan(graph, segment_profiled(profile, tpus).segmentation, device, Strategy::kProfile),
        optimal_plan(graph, device, tpus, 1), optimal_plan(graph, device, tpus, 0)};
  }
  return result;
}

std::vector<NetworkPlans> plan_networks(const DeviceSpec& device,
                                        const std::function<void()>& on_done) {
  std::vector<NetworkPlans> result(kNetworks.size());
  std::atomic<std::size_t> taken{0};
  std::mutex mutex;
  std::exception_ptr failure;
  const auto work = [&] {
    // The last networks take the longest, so they come first.
    for (std::size_t i = taken++; i < kNetworks.size(); i = taken++) {
      const std::size_t at = kNetworks.size() - 1 - i;
      try {
        result[at] = plan_network(kNetworks[at], device);
        on_done();
      } catch (...) {
        const std::scoped_lock lock(mutex);
        if (!failure) failure = std::current_exception();
        taken = kNetworks.size();
      }
    }
  };
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 1; i < std::max(1U, std::thread::hardware_concurrency()); ++i)
      threads.emplace_back(work);
    work();
  }
  if (failure) std::rethrow_exception(failure);
  return result;
}

double ratio(const Plan& slower, const Plan& faster) {
  return to_s(slower.predicted.bottleneck) / to_s(faster.predicted.bottleneck);
}

Nanoseconds batch_time(const Plan& plan, const DeviceSpec& device, std::uint64_t inputs) {
  const auto loads = stage_loads(plan);
  TimelineOptions options = timeline_options(loads, device);
  options.inputs = inputs;
  return simulate_timeline(loads, options).time_per_input();
}

}  // namespace segue::paper
