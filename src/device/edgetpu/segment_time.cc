#include <algorithm>
#include <cmath>
#include <iterator>
#include <vector>

#include "device/edgetpu/edgetpu_model.h"
#include "device/edgetpu/internal/segment_sum.h"
#include "segue/cost.h"

namespace segue {
namespace {

// Whether the segment receives a large map from the host (input_crowds_tile).
bool is_crowded(const Model& model, std::span<const OperatorId> operators,
                const DeviceSpec& device) {
  return std::ranges::any_of(operators, [&](OperatorId id) {
    const Operator& op = model.op(id);
    if (op.inputs.empty() || op.inputs[0] < 0) return false;
    const auto writer = model.producer(tensor_id(op.inputs[0]));
    const bool comes_from_host = !writer || !std::ranges::binary_search(operators, *writer);
    return comes_from_host && input_crowds_tile(model, id, device.activations);
  });
}

bool is_streamed(const OperatorMemory& memory) {
  return memory.residency == Residency::kStreamed || memory.residency == Residency::kUncached;
}

void add_streaming(const Model& model, std::span<const OperatorId> operators,
                   const MemoryReport& report, const DeviceSpec& device, SegmentSum& sum) {
  std::uint64_t unassigned = report.host_bytes;
  for (const OperatorMemory& memory : report.operators) {
    if (!is_streamed(memory)) continue;
    unassigned -= std::min(unassigned, memory.bytes);
    const OperatorWork work = operator_work(model, memory.op, device);
    std::uint32_t times = work.crossings;
    if (memory.residency == Residency::kStreamed && memory.op == operators.back() &&
        is_crowded(model, operators, device))
      times = std::max(times, kCrowdedCrossings);
    sum.add(streaming(work, memory.bytes, times, device.timing));
  }
  sum.add(streaming({}, unassigned, 1, device.timing));
}

}  // namespace

std::vector<OperatorId> on_device(std::span<const OperatorId> operators,
                                  std::span<const OperatorId> host) {
  std::vector<OperatorId> result;
  std::ranges::set_difference(operators, host, std::back_inserter(result));
  return result;
}

Nanoseconds runner_hop(const Timing& timing) {
  return Nanoseconds(std::llround(timing.hop_ns.value * timing.host_slowdown.value));
}

Nanoseconds runner_hop(std::span<const DevicePool> pools) {
  Nanoseconds longest{0};
  for (const DevicePool& pool : pools) longest = std::max(longest, runner_hop(pool.device.timing));
  return longest;
}

std::uint32_t host_cores(std::span<const DevicePool> pools) {
  double fewest = pools[0].device.host.cores.value;
  for (const DevicePool& pool : pools) fewest = std::min(fewest, pool.device.host.cores.value);
  return static_cast<std::uint32_t>(fewest);
}

SegmentTime edgetpu_time(const Graph& graph, std::span<const OperatorId> operators,
                         const MemoryReport& memory, const DeviceSpec& device) {
  const Model& model = graph.model();
  const auto on_host = operators_on_host(graph, operators, memory);
  Nanoseconds host{0};
  for (const OperatorId id : on_host) host += host_operator_time(graph, id, device);
  const auto with_host = [&](SegmentTime time) {
    time.host = std::min(host, Nanoseconds(static_cast<std::int64_t>(kLongestNs)));
    time.host_operators = static_cast<std::uint32_t>(on_host.size());
    return time;
  };
  const std::vector<OperatorId> ours = on_device(operators, on_host);
  if (ours.empty()) return with_host({});
  SegmentSum sum;
  sum.instruction_bytes = kSegmentInstructionBytes;
  for (const OperatorId id : ours) {
    const OperatorWork work = operator_work(model, id, device);
    sum.cycles += work.cycles;
    sum.instruction_bytes += work.instruction_bytes;
  }
  const SegmentBorder border = segment_border(model, ours);
  for (const TensorId id : border.inputs) sum.input_bytes += model.tensor(id).bytes;
  for (const TensorId id : border.outputs) sum.output_bytes += sent_bytes(model.tensor(id), device);
  add_streaming(model, ours, memory, device, sum);
  return with_host(sum.time(device.timing));
}

}  // namespace segue
