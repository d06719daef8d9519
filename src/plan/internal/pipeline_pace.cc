#include "plan/internal/pipeline_pace.h"

#include <algorithm>

#include "segue/cost.h"

namespace segue {
namespace {

std::int64_t busiest_link_ns(std::span<const StageUses> stages, std::span<const DevicePool> pools) {
  std::vector<std::int64_t> busy(pools.size());
  for (const StageUses& stage : stages) {
    const auto shares = shares_of(stage);
    for (std::size_t kind = 0; kind < stage.size(); ++kind) {
      if (pools[stage[kind].pool].shares_link)
        busy[stage[kind].pool] += stage_busy_ns(shares, kind, stage[kind].link_ns);
    }
  }
  return std::ranges::max(busy);
}

std::int64_t host_period_ns(std::span<const StageUses> stages, std::span<const DevicePool> pools,
                            std::int64_t decoding_ns) {
  std::int64_t work_ns = decoding_ns;
  for (const StageUses& stage : stages) {
    const auto shares = shares_of(stage);
    for (std::size_t kind = 0; kind < stage.size(); ++kind)
      work_ns += stage_busy_ns(shares, kind, stage[kind].host_ns);
  }
  return work_ns / static_cast<std::int64_t>(host_cores(pools));
}

}  // namespace

std::vector<StageShare> shares_of(const StageUses& stage) {
  std::vector<StageShare> shares;
  for (const StageUse& use : stage) shares.push_back(use.share);
  return shares;
}

std::int64_t pipeline_period_ns(std::span<const StageUses> stages,
                                std::span<const DevicePool> pools, std::int64_t decoding_ns) {
  std::int64_t slowest_ns = std::max(
      {busiest_link_ns(stages, pools), host_period_ns(stages, pools, decoding_ns), decoding_ns});
  for (const StageUses& stage : stages)
    slowest_ns = std::max(slowest_ns, stage_period_ns(shares_of(stage)));
  return slowest_ns;
}

std::int64_t pipeline_latency_ns(std::span<const StageUses> stages, std::int64_t hop_ns,
                                 std::int64_t decoding_ns) {
  std::int64_t sum_ns = decoding_ns;
  for (const StageUses& stage : stages) sum_ns += stage_latency_ns(shares_of(stage)) + hop_ns;
  return sum_ns;
}

}  // namespace segue
