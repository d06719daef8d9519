#include "cli/compared_plans.h"

#include <fmt/format.h>

#include "cli/progress.h"
#include "cli/tpus.h"
#include "segue/error.h"
#include "segue/planner.h"

namespace segue::cli {
namespace {

TpuRange parse_counts(const std::string& text) {
  if (const auto range = parse_range(text)) return *range;
  throw Error(
      ErrorCode::kInvalidArgument,
      fmt::format("--tpus '{}': expected a number or a range within 1..{}, for example 1..8", text,
                  kMostComparedTpus));
}

}  // namespace

void add_comparison(CLI::App& command, ComparisonOptions& options) {
  command.add_option("--tpus", options.tpus, "Number of TPUs, or a range (default 1..8)");
  command.add_option("--device", options.device,
                     "Edge TPU model to plan for: a name or a device file (default edgetpu-pcie)");
  add_max_replicas(command, options.max_replicas);
  add_decoding(command, options.decoding);
}

Comparison compare(const Graph& graph, const ComparisonOptions& options) {
  const auto [first, last] = parse_counts(options.tpus);
  DevicePool pool = open_device_kind(options.device.empty() ? "edgetpu-pcie" : options.device);
  Progress progress((last - first + 1) * strategy_table().size());
  auto plans = compare_strategies(graph, pool.device, first, last,
                                  {.max_replicas = options.max_replicas,
                                   .shares_link = pool.shares_link,
                                   .decoding = decoding_of(graph.model(), options.decoding),
                                   .progress = [&](auto, auto) { progress.advance(); }});
  return {std::move(plans), std::move(pool)};
}

}  // namespace segue::cli
