// The rule of edgetpu_compiler --num_segments, as google-coral/libcoral publishes it in
// coral/tools/partitioner/parameter_count_based_partitioner.cc.
#include "planner/internal/vendor.h"

#include <fmt/format.h>

#include <algorithm>

#include "planner/segmentation/require.h"
#include "segue/error.h"
#include "segue/segmentation.h"

namespace segue {
namespace {

std::uint64_t counted_bytes(const Graph& graph, OperatorId id) {
  return graph.model().op(id).code == OpCode::kCustom ? 0 : graph.stats(id).parameter_bytes;
}

// Returns the position of the first operator whose outputs no operator reads. The last operator of
// any topological order is one.
std::size_t first_end_position(const Graph& graph, std::span<const OperatorId> order) {
  const auto first =
      std::ranges::find_if(order, [&](OperatorId id) { return graph.readers(id).empty(); });
  return static_cast<std::size_t>(first - order.begin());
}

}  // namespace

Segmentation segment_as_vendor(const Graph& graph, std::size_t count) {
  require_segments(graph, count, graph.operator_count(), "operator");
  const std::vector<OperatorId> order = graph.vendor_order();
  if (order.size() != graph.operator_count())
    throw Error(ErrorCode::kInternal, graph.model().name() + ": the operators form a cycle");
  return segment_along(graph, order, count);
}

Segmentation segment_along(const Graph& graph, std::span<const OperatorId> order,
                           std::size_t count) {
  std::uint64_t total = 0;
  for (const OperatorId id : order) total += counted_bytes(graph, id);
  const std::uint64_t average = total / count + 1;
  const std::size_t end_position = first_end_position(graph, order);

  Segmentation result;
  std::size_t next = 0;
  for (std::size_t segment = 0; segment + 1 < count; ++segment) {
    const std::size_t segments_left = count - segment - 1;
    const std::size_t end = end_position + 1 - std::min(end_position, segments_left);
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
