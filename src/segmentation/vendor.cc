// The rule of edgetpu_compiler --num_segments, as google-coral/libcoral publishes it in
// coral/tools/partitioner/parameter_count_based_partitioner.cc.
#include <fmt/format.h>

#include <algorithm>

#include "segmentation/require.h"
#include "segue/error.h"
#include "segue/segmentation.h"

namespace segue {
namespace {

std::uint64_t counted_bytes(const Graph& graph, OperatorId id) {
  return graph.model().op(id).code == OpCode::kCustom ? 0 : graph.stats(id).parameter_bytes;
}

// Position in the order of the first operator that writes a model output.
std::size_t first_output_position(const Graph& graph, std::span<const OperatorId> order) {
  std::vector<bool> writes_output(graph.operator_count());
  for (const TensorId output : graph.model().outputs()) {
    if (const auto writer = graph.model().producer(output)) writes_output[index(*writer)] = true;
  }
  const auto first =
      std::ranges::find_if(order, [&](OperatorId id) { return writes_output[index(id)]; });
  return static_cast<std::size_t>(first - order.begin());
}

}  // namespace

Segmentation segment_as_vendor(const Graph& graph, std::size_t count) {
  require_segments(graph, count, graph.operator_count(), "operators");
  const std::vector<OperatorId> order = graph.vendor_order();
  if (order.size() != graph.operator_count())
    throw Error(ErrorCode::kInternal, graph.model().name() + ": the operators form a cycle");
  std::uint64_t total = 0;
  for (const OperatorId id : order) total += counted_bytes(graph, id);
  const std::uint64_t average = total / count + 1;
  const std::size_t output_position = first_output_position(graph, order);

  Segmentation result;
  std::size_t next = 0;
  for (std::size_t segment = 0; segment + 1 < count; ++segment) {
    const std::size_t segments_left = count - segment - 1;
    const std::size_t end =
        std::min(output_position + 1, order.size()) - std::min(output_position, segments_left);
    std::vector<OperatorId> operators;
    std::uint64_t bytes = 0;
    while (operators.empty() ||
           (next < end && bytes + counted_bytes(graph, order[next]) <= average)) {
      bytes += counted_bytes(graph, order[next]);
      operators.push_back(order[next++]);
    }
    std::ranges::sort(operators);
    result.segments.push_back(std::move(operators));
  }
  result.segments.emplace_back(order.begin() + static_cast<std::ptrdiff_t>(next), order.end());
  std::ranges::sort(result.segments.back());
  return result;
}

}  // namespace segue
