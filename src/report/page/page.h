/// Plans as one HTML file that opens without a network: the verdict, what each device does when,
/// memory, time by cause, strategies side by side, the cuts in the model, and a run beside them.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "segue/device.h"
#include "segue/graph.h"
#include "segue/report.h"

namespace segue {

struct PageContent {
  const Graph& graph;
  std::span<const ComparedPlan> plans;  // of this model and device; at least one
  std::size_t chosen = 0;               // position of the one that shows first
  std::span<const DevicePool> pools;    // of the chosen plan
  std::optional<RunReport> run = std::nullopt;
  std::uint64_t inputs = 15;  // of the timelines
};

/// The same content gives the same bytes. Names of the model enter the page as text only, whatever
/// they hold. About 100 KB, and 10 KB for each plan of eight stages. Throws
/// Error(kInvalidArgument) where there is no plan, and as simulate_timeline.
[[nodiscard]] std::string plans_page(const PageContent& content);

}  // namespace segue
