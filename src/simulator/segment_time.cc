#include <algorithm>
#include <iterator>
#include <vector>

#include "segue/simulator.h"
#include "simulator/segment_sum.h"

namespace segue {
namespace {

std::vector<OperatorId> on_device(std::span<const OperatorId> operators,
                                  std::span<const OperatorId> on_host) {
  std::vector<OperatorId> result;
  std::ranges::set_difference(operators, on_host, std::back_inserter(result));
  return result;
}

// Whether a large map reaches the segment from the host: see input_crowds_tile.
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

std::int64_t streaming(const Model& model, std::span<const OperatorId> operators,
                       const MemoryReport& report, const DeviceSpec& device) {
  std::uint64_t unassigned = report.host_bytes;
  std::int64_t ns = 0;
  for (const OperatorMemory& memory : report.operators) {
    if (!is_streamed(memory)) continue;
    unassigned -= std::min(unassigned, memory.bytes);
    const OperatorWork work = operator_work(model, memory.op, device);
    std::uint32_t times = work.crossings;
    if (memory.residency == Residency::kStreamed && memory.op == operators.back() &&
        is_crowded(model, operators, device))
      times = std::max(times, kCrowdedCrossings);
    ns += streaming_ns(work, memory.bytes, times, device.timing);
  }
  return ns + streaming_ns({}, unassigned, 1, device.timing);
}

}  // namespace

SegmentTime simulate_segment(const Graph& graph, std::span<const OperatorId> operators,
                             const MemoryReport& memory, const DeviceSpec& device) {
  const Model& model = graph.model();
  const auto on_host = operators_on_host(graph, operators);
  SegmentSum sum;
  sum.host_operators = static_cast<std::uint32_t>(on_host.size());
  const std::vector<OperatorId> ours = on_device(operators, on_host);
  if (ours.empty()) {
    SegmentTime nothing;
    nothing.host_operators = sum.host_operators;
    return nothing;
  }
  for (const OperatorId id : ours) {
    sum.last_cycles = operator_work(model, id, device).cycles;
    sum.cycles += sum.last_cycles;
  }
  const SegmentBorder border = segment_border(model, ours);
  for (const TensorId id : border.inputs) sum.input_bytes += model.tensor(id).bytes;
  for (const TensorId id : border.outputs) sum.output_bytes += sent_bytes(model.tensor(id), device);
  sum.streaming_ns = streaming(model, ours, memory, device);
  return sum.time(device.timing);
}

}  // namespace segue
