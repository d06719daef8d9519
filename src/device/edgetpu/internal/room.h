// Segments that have only a part of the memory for parameters, because others share the device.
#pragma once

#include <cstdint>
#include <span>

#include "segue/cost.h"

namespace segue {

// Returns the memory for parameters of a segment that is alone on an Edge TPU, in bytes.
[[nodiscard]] std::uint64_t parameter_room(const Graph& graph,
                                           std::span<const OperatorId> operators,
                                           const DeviceSpec& device);

// Returns the report of the simulated compiler for a segment that has `room` bytes for parameters.
[[nodiscard]] MemoryReport compile_in_room(const Graph& graph,
                                           std::span<const OperatorId> operators,
                                           const DeviceSpec& device, std::uint64_t room);

// Returns the time to send parameters that stay on chip, as before the first inference after
// another model.
[[nodiscard]] Nanoseconds parameter_load_time(std::uint64_t bytes, const DeviceSpec& device);

}  // namespace segue
