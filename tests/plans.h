// Plans that several tests need.
#pragma once

#include <cstddef>

#include "segue/cost.h"
#include "segue/device.h"
#include "segue/plan.h"
#include "segue/segmentation.h"

namespace segue::testing {

// Makes a plan of Segm_Balanced for PCIe TPUs with the simulated compiler.
inline Plan balanced_plan(const Graph& graph, std::size_t count) {
  const DeviceSpec& device = find_device("edgetpu-pcie");
  const auto compiler = make_simulated_compiler(device);
  return make_plan(graph, segment_balanced(graph, count, *compiler).segmentation, *compiler, device,
                   Strategy::kBalanced);
}

}  // namespace segue::testing
