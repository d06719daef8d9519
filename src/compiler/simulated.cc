#include <algorithm>
#include <utility>

#include "compiler/caching.h"
#include "compiler/depth_ranges.h"

namespace segue {
namespace {

// Bytes that reach the segment from outside; O(n log n) in its operators, not in the model's.
std::uint64_t input_activation_bytes(const Model& model, std::span<const OperatorId> operators) {
  std::vector<TensorId> tensors;
  for (const OperatorId id : operators) {
    for (const std::int32_t position : model.op(id).inputs) {
      if (position < 0) continue;
      const Tensor& tensor = model.tensor(tensor_id(position));
      if (tensor.is_constant() || tensor.is_variable) continue;
      const auto writer = model.producer(tensor_id(position));
      if (!writer || !std::ranges::binary_search(operators, *writer))
        tensors.push_back(tensor_id(position));
    }
  }
  std::ranges::sort(tensors);
  tensors.erase(std::unique(tensors.begin(), tensors.end()), tensors.end());
  std::uint64_t bytes = 0;
  for (const TensorId id : tensors) bytes += model.tensor(id).bytes;
  return bytes;
}

class SimulatedCompiler : public Compiler {
 public:
  explicit SimulatedCompiler(DeviceSpec device) : device_(std::move(device)) {}

  [[nodiscard]] MemoryReport compile(const Graph& graph,
                                     std::span<const OperatorId> operators) const override {
    const Model& model = graph.model();
    const auto host = operators_on_host(graph, operators);
    MemoryReport report;
    report.capacity_bytes =
        parameter_capacity(device_.memory, input_activation_bytes(model, operators));
    std::vector<std::pair<CachingCandidate, std::size_t>> candidates;  // and place in the report
    for (const OperatorId id : operators) {
      report.operators.push_back({id, Residency::kNone, 0});
      if (std::ranges::binary_search(host, id)) {
        report.operators.back().residency = Residency::kOnHost;
        continue;
      }
      if (const auto candidate = caching_candidate(model, id, device_)) {
        candidates.emplace_back(*candidate, report.operators.size() - 1);
      } else if (const auto bytes = parameter_footprint(model, id, device_).streamed_bytes;
                 bytes > 0) {
        report.operators.back() = {id, Residency::kUncached, bytes};
        report.host_bytes += bytes;
      }
    }
    std::ranges::sort(candidates, is_cached_before,
                      &std::pair<CachingCandidate, std::size_t>::first);
    for (const auto& [candidate, place] : candidates) {
      const bool fits =
          report.on_chip_bytes + candidate.footprint.cached_bytes <= report.capacity_bytes;
      OperatorMemory& memory = report.operators[place];
      memory.residency = fits ? Residency::kCached : Residency::kStreamed;
      memory.bytes = fits ? candidate.footprint.cached_bytes : candidate.footprint.streamed_bytes;
      (fits ? report.on_chip_bytes : report.host_bytes) += memory.bytes;
    }
    return report;
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

std::unique_ptr<Compiler> make_simulated_compiler(const DeviceSpec& device) {
  return std::make_unique<SimulatedCompiler>(device);
}

}  // namespace segue
