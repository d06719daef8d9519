// Data that repeated plans of one graph share: ideals, segment times and a profile.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <span>

#include "segue/planner.h"

namespace segue {

// Thread-safe. The graph must outlive it.
class PlanningCache {
 public:
  // Prepares plans for at most the devices of these pools.
  PlanningCache(const Graph& graph, std::span<const DevicePool> pools);

  // The result of segment_optimal for these pools, which have the kinds of the constructor's.
  [[nodiscard]] OptimalSegmentation optimal(std::span<const DevicePool> pools,
                                            const OptimalOptions& limits) const;
  // Horizontal cuts by simulated latencies on the device of the first pool.
  [[nodiscard]] ProfiledSegmentation profiled(std::uint32_t count);

  // The plan on `count` devices of a single pool.
  [[nodiscard]] StrategyPlan plan(std::uint32_t count, const StrategyRow& strategy,
                                  const OptimalOptions& limits);

 private:
  const Graph& graph_;
  DevicePool first_;
  std::optional<OptimalPlanner> planner_;  // only for a single pool
  std::mutex profile_mutex_;
  std::optional<Profile> profile_;
};

}  // namespace segue
