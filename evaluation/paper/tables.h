// Tables of experiments that are also made for other devices or shown elsewhere.
#pragma once

#include <cstdint>
#include <vector>

#include "evaluation/paper/networks.h"
#include "segue/report.h"

namespace segue::paper {

// Returns results per second for every strategy.
[[nodiscard]] Table throughput_table(const std::vector<NetworkPlans>& networks, std::uint32_t tpus);

// Returns the geometric mean over the networks.
[[nodiscard]] double planner_over_balanced(const std::vector<NetworkPlans>& networks,
                                           std::uint32_t tpus);

// Returns the times of CNNs on one TPU that Coral publishes, next to simulated ones.
[[nodiscard]] Table published_table();

}  // namespace segue::paper
