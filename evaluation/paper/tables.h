// Tables of experiments that are made for other devices, or shown elsewhere, too.
#pragma once

#include <cstdint>
#include <vector>

#include "evaluation/paper/networks.h"
#include "segue/report.h"

namespace segue::paper {

// Results per second by every strategy.
[[nodiscard]] Table throughput_table(const std::vector<NetworkPlans>& networks, std::uint32_t tpus);

// Geometric mean over the networks.
[[nodiscard]] double planner_over_balanced(const std::vector<NetworkPlans>& networks,
                                           std::uint32_t tpus);

// Times of CNNs on one TPU that Coral publishes, beside the simulated ones.
[[nodiscard]] Table published_table();

}  // namespace segue::paper
