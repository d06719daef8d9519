// Plans every strategy on the CNNs of the paper.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "segue/device.h"
#include "segue/graph.h"
#include "segue/plan.h"

namespace segue::paper {

struct Network {
  const char* name;  // of the zoo
  // The number of TPUs that the paper probably uses: parameters divided by 8 MiB, rounded up, and
  // two for 7.6 and 7.9 MiB, which do not fit in one because of padding and activations.
  std::uint32_t tpus;
};

// It is a guess that these are the paper's "state-of-the-art CNN models".
inline constexpr std::array<Network, 21> kNetworks{{
    {"mobilenet", 1},          {"mobilenetv2", 1},        {"nasnetmobile", 1},
    {"efficientnetliteb0", 1}, {"efficientnetliteb1", 1}, {"efficientnetliteb2", 1},
    {"efficientnetliteb3", 2}, {"efficientnetliteb4", 2}, {"densenet121", 2},
    {"densenet169", 2},        {"densenet201", 3},        {"xception", 3},
    {"inceptionv3", 3},        {"resnet50", 4},           {"resnet50v2", 4},
    {"inceptionv4", 6},        {"resnet101", 6},          {"resnet101v2", 6},
    {"inceptionresnetv2", 7},  {"resnet152", 8},          {"resnet152v2", 8},
}};
inline constexpr std::uint32_t kMostTpus = 8;

// The plans of one network on one number of TPUs.
struct Plans {
  Plan compiler;
  Plan balanced;
  Plan profile;
  Plan pure;  // optimal without replicas
  Plan full;  // optimal
};

struct NetworkPlans {
  Network network{};
  std::array<Plans, kMostTpus> by_tpus;  // [tpus - 1]
  [[nodiscard]] const Plans& on(std::uint32_t tpus) const { return by_tpus.at(tpus - 1); }
  [[nodiscard]] const PlanModel& model() const { return by_tpus[0].compiler.model; }
  [[nodiscard]] Nanoseconds one_tpu() const { return by_tpus[0].compiler.predicted.single_device; }
};
[[nodiscard]] NetworkPlans plan_network(const Network& network, const DeviceSpec& device);

// Plans all of kNetworks with as many threads as there are cores. `on_done` is called after each
// network, from several threads.
[[nodiscard]] std::vector<NetworkPlans> plan_networks(const DeviceSpec& device,
                                                      const std::function<void()>& on_done);

// Makes a plan with one TPU for each segment.
[[nodiscard]] Plan even_plan(const Graph& graph, const Segmentation& segmentation,
                             const DeviceSpec& device, Strategy strategy);

// Makes a proven plan. With `max_replicas` 0, a stage may have any number of TPUs.
[[nodiscard]] Plan optimal_plan(const Graph& graph, const DeviceSpec& device, std::uint32_t tpus,
                                std::uint32_t max_replicas);

// Returns the time between results of `slower` divided by that of `faster`.
[[nodiscard]] double ratio(const Plan& slower, const Plan& faster);

// As in the paper, times per input are those of a batch of 15 up to the last result.
inline constexpr std::uint64_t kBatch = 15;
[[nodiscard]] Nanoseconds batch_time(const Plan& plan, const DeviceSpec& device,
                                     std::uint64_t inputs = kBatch);

}  // namespace segue::paper
