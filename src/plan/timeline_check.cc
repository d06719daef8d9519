#include "plan/timeline_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "segue/error.h"

namespace segue {
namespace {

[[noreturn]] void reject(const std::string& reason) {
  throw Error(ErrorCode::kInvalidArgument, reason);
}

void check_stage(const StageLoad& stage, std::size_t position) {
  if (stage.replicas == 0) reject(fmt::format("stage {} has no replica", position));
  if (!stage.replica_times.empty() && stage.replica_times.size() != stage.replicas)
    reject(fmt::format("stage {} has {} replicas, but {} replica times", position, stage.replicas,
                       stage.replica_times.size()));
}

// Of an input alone, on the slowest replica of each stage.
double one_input_ns(std::span<const StageLoad> stages, const TimelineOptions& options) {
  double sum_ns = 0;
  for (const StageLoad& stage : stages) {
    Nanoseconds slowest = stage.time.total();
    for (const SegmentTime& time : stage.replica_times) slowest = std::max(slowest, time.total());
    sum_ns += static_cast<double>((slowest + options.hop).count());
  }
  for (const BoundaryTransfer& transfer : options.network) {
    sum_ns += static_cast<double>(transfer.latency.count());
    for (const BoundaryTransfer::Use& use : transfer.uses)
      sum_ns += static_cast<double>(use.busy.count());
  }
  return sum_ns;
}

void check_shared(std::span<const StageLoad> stages, const TimelineOptions& options) {
  std::uint64_t devices = 0;
  for (const StageLoad& stage : stages) {
    if (!stage.is_on_host) devices += stage.replicas;  // the host's stage is the last one
  }
  std::set<std::uint32_t> shared;
  for (const SharedLink& link : options.shared) {
    for (const std::uint32_t device : link.devices) {
      if (device >= devices)
        reject(
            fmt::format("a shared link contains device {}, but the plan has {} devices (0 to {})",
                        device, devices, devices - 1));
      if (!shared.insert(device).second)
        reject(fmt::format("device {} is in two shared links", device));
    }
  }
}

}  // namespace

void check_timeline(std::span<const StageLoad> stages, const TimelineOptions& options) {
  constexpr std::uint64_t kMostInputs = 100'000'000;
  constexpr double kLongestNs = 3e18;
  if (stages.empty()) reject("a timeline needs at least one stage");
  if (options.inputs == 0 || options.inputs > kMostInputs)
    reject(fmt::format("{} inputs; a timeline supports 1 to {}", options.inputs, kMostInputs));
  if (!options.network.empty() && options.network.size() != stages.size() + 1)
    reject(fmt::format("{} stages have {} boundaries, not {}", stages.size(), stages.size() + 1,
                       options.network.size()));
  for (std::size_t s = 0; s < stages.size(); ++s) check_stage(stages[s], s);
  check_shared(stages, options);
  const double alone_ns = one_input_ns(stages, options);
  if (alone_ns * static_cast<double>(options.inputs) > kLongestNs)
    reject(
        fmt::format("{} inputs of {:.3g} s each take more than a hundred years; use fewer inputs",
                    options.inputs, alone_ns * 1e-9));
}

}  // namespace segue
