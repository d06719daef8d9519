// The cost model of the Edge TPU, in the parts that DeviceModel calls.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "segue/cost.h"

namespace segue {

[[nodiscard]] std::unique_ptr<Compiler> edgetpu_compiler(const DeviceSpec& device);

[[nodiscard]] SegmentTime edgetpu_time(const Graph& graph, std::span<const OperatorId> operators,
                                       const MemoryReport& memory, const DeviceSpec& device);

// Returns the operators that are not in `host`. Both are ascending.
[[nodiscard]] std::vector<OperatorId> on_device(std::span<const OperatorId> operators,
                                                std::span<const OperatorId> host);

}  // namespace segue
