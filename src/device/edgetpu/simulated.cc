#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "device/edgetpu/caching.h"
#include "device/edgetpu/depth_ranges.h"
#include "device/edgetpu/edgetpu_model.h"
#include "device/edgetpu/internal/room.h"

namespace segue {
namespace {

// Whether an operator reads an activation that none of `operators` writes.
bool reads_from_host(const Model& model, OperatorId id, std::span<const OperatorId> operators) {
  return std::ranges::any_of(model.op(id).inputs, [&](std::int32_t position) {
    if (position < 0) return false;
    const Tensor& tensor = model.tensor(tensor_id(position));
    if (tensor.is_constant() || tensor.is_variable) return false;
    const auto writer = model.producer(tensor_id(position));
    return !writer || !std::ranges::binary_search(operators, *writer);
  });
}

// Returns the memory for parameters, given the operators that run on the device.
std::uint64_t capacity_of(const Model& model, std::span<const OperatorId> operators,
                          const DeviceSpec& device) {
  std::uint32_t most = 0;
  for (const OperatorId id : operators) {
    const ReservedRows rows = reserved_rows(model, id, device);
    most = std::max(most, rows.inside);
    if (rows.at_input > most && reads_from_host(model, id, operators)) most = rows.at_input;
  }
  return parameter_capacity(device.memory, most);
}

MemoryReport report_of(const Graph& graph, std::span<const OperatorId> operators,
                       std::span<const OperatorId> host, const DeviceSpec& device,
                       std::uint64_t capacity_bytes) {
  const Model& model = graph.model();
  MemoryReport report;
  report.capacity_bytes = capacity_bytes;
  std::vector<std::pair<CachingCandidate, std::size_t>>
      candidates;  // with their positions in the report
  for (const OperatorId id : operators) {
    report.operators.push_back({id, Residency::kNone, 0});
    if (std::ranges::binary_search(host, id)) {
      report.operators.back().residency = Residency::kOnHost;
      continue;
    }
    if (const auto candidate = caching_candidate(model, id, device)) {
      candidates.emplace_back(*candidate, report.operators.size() - 1);
    } else if (const auto bytes = parameter_footprint(model, id, device).bytes; bytes > 0) {
      report.operators.back() = {id, Residency::kUncached, bytes};
      report.host_bytes += bytes;
    }
  }
  std::ranges::sort(candidates, is_cached_before, &std::pair<CachingCandidate, std::size_t>::first);
  for (const auto& [candidate, place] : candidates) {
    const bool fits = report.on_chip_bytes + candidate.footprint.bytes <= report.capacity_bytes;
    OperatorMemory& memory = report.operators[place];
    memory.residency = fits ? Residency::kCached : Residency::kStreamed;
    memory.bytes = candidate.footprint.bytes;
    (fits ? report.on_chip_bytes : report.host_bytes) += memory.bytes;
  }
  return report;
}

class SimulatedCompiler : public Compiler {
 public:
  explicit SimulatedCompiler(DeviceSpec device) : device_(std::move(device)) {
    // Another model may delegate to this compiler.
    device_.model = &edgetpu_model();
  }

  [[nodiscard]] MemoryReport compile(const Graph& graph,
                                     std::span<const OperatorId> operators) const override {
    const auto host = operators_on_host(graph, operators);
    return report_of(graph, operators, host, device_,
                     capacity_of(graph.model(), on_device(operators, host), device_));
  }

  [[nodiscard]] DepthHostBytes depth_host_bytes(const Graph& graph) const override {
    const auto ranges = std::make_shared<const DepthRanges>(graph, device_);
    return [ranges, compiled = Compiler::depth_host_bytes(graph)](std::uint32_t first,
                                                                  std::uint32_t last) {
      return ranges->is_on_device(first, last) ? ranges->host_bytes(first, last)
                                               : compiled(first, last);
    };
  }

 private:
  DeviceSpec device_;
};

}  // namespace

std::uint64_t parameter_room(const Graph& graph, std::span<const OperatorId> operators,
                             const DeviceSpec& device) {
  return capacity_of(graph.model(), on_device(operators, operators_on_host(graph, operators)),
                     device);
}

MemoryReport compile_in_room(const Graph& graph, std::span<const OperatorId> operators,
                             const DeviceSpec& device, std::uint64_t room) {
  return report_of(graph, operators, operators_on_host(graph, operators), device, room);
}

std::unique_ptr<Compiler> edgetpu_compiler(const DeviceSpec& device) {
  return std::make_unique<SimulatedCompiler>(device);
}

Nanoseconds parameter_load_time(std::uint64_t bytes, const DeviceSpec& device) {
  const double seconds = static_cast<double>(bytes) / device.timing.link_bytes_per_s.value;
  return Nanoseconds(std::llround(seconds * 1e9));
}

}  // namespace segue
