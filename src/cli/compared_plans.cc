#include "cli/compared_plans.h"

#include <fmt/format.h>

#include "cli/progress.h"
#include "cli/tpus.h"
#include "segue/error.h"
#include "segue/strategy.h"

namespace segue::cli {
namespace {

TpuRange parse_counts(const std::string& text) {
  if (const auto range = parse_range(text)) return *range;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("--tpus '{}': give a number or a range within 1..{}, as in 1..8", text,
                          kMostComparedTpus));
}

DevicePool open_one_kind(const std::string& name) {
  const auto pools = open_devices(name, 1);
  if (pools.size() == 1 && pools[0].shares_link) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("--device '{}': strategies are compared on links that nobody shares; "
                            "`segue plan --device` plans for a shared one",
                            name));
  }
  if (pools.size() == 1 && !has_device_count(name)) return pools[0];
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("--device '{}': the TPUs are counted by --tpus here; name one kind of "
                          "device without a count",
                          name));
}

}  // namespace

void add_comparison(CLI::App& command, ComparisonOptions& options) {
  command.add_option("--tpus", options.tpus, "A number or a range of TPUs (default 1..8)");
  command.add_option("--device", options.device,
                     "Edge TPU to plan for: a name, or a device file (default edgetpu-pcie)");
  add_max_replicas(command, options.max_replicas);
}

Comparison compare(const Graph& graph, const ComparisonOptions& options) {
  const auto [first, last] = parse_counts(options.tpus);
  DevicePool pool = open_one_kind(options.device.empty() ? "edgetpu-pcie" : options.device);
  Progress progress((last - first + 1) * kStrategies.size());
  auto plans = compare_strategies(
      graph, pool.device, first, last,
      {.max_replicas = options.max_replicas, .progress = [&](auto, auto) { progress.advance(); }});
  return {std::move(plans), std::move(pool)};
}

}  // namespace segue::cli
