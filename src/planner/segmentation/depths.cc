// Horizontal cuts and their balance: chains-on-chains partitioning of parameter bytes with probe
// and bisection. Source: A. Pinar, C. Aykanat, "Fast optimal load balancing algorithms for 1D
// partitioning" (J. Parallel and Distributed Computing 64, 2004).
#include <algorithm>
#include <limits>
#include <optional>

#include "planner/segmentation/levels.h"
#include "segue/error.h"
#include "segue/segmentation.h"

namespace segue {
namespace {

// Fills groups with levels in order, up to `limit` bytes each, and leaves one level for each later
// group. Returns the cuts, or nothing if levels remain.
std::optional<DepthCuts> fill(std::span<const Level> levels, std::size_t count,
                              std::uint64_t limit) {
  DepthCuts cuts;
  std::size_t next = 0;
  for (std::size_t group = 0; group < count; ++group) {
    const std::size_t groups_left = count - group - 1;
    std::uint64_t bytes = 0;
    while (next < levels.size() - groups_left && bytes + levels[next].parameter_bytes <= limit)
      bytes += levels[next++].parameter_bytes;
    if (groups_left > 0) cuts.push_back(static_cast<std::uint32_t>(next));
  }
  if (next < levels.size()) return std::nullopt;
  return cuts;
}

std::uint64_t smallest_limit(std::span<const Level> levels, std::size_t count) {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  for (const Level& level : levels) {
    low = std::max(low, level.parameter_bytes);
    high += level.parameter_bytes;
  }
  while (low < high) {
    const std::uint64_t middle = low + (high - low) / 2;
    if (fill(levels, count, middle)) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

// Returns the cuts into `count` groups of at most `limit` bytes with the smallest sum of squared
// group bytes, the earliest among equals: a dynamic program over (groups left, depth). Such cuts
// exist if `fill` finds some.
DepthCuts most_even_cuts(std::span<const Level> levels, std::size_t count, std::uint64_t limit) {
  struct State {
    double squares = std::numeric_limits<double>::infinity();
    std::uint32_t next = 0;
  };
  const std::size_t depth = levels.size();
  const LevelSums bytes(levels, &Level::parameter_bytes);
  // best[k][d]: the best cuts of the levels (d, depth] into k groups.
  std::vector<std::vector<State>> best(count + 1, std::vector<State>(depth + 1));
  best[0][depth].squares = 0;
  for (std::size_t groups = 1; groups <= count; ++groups) {
    for (std::size_t first = 0; first < depth; ++first) {
      for (std::size_t last = first + 1; last <= depth; ++last) {
        if (bytes.between(first, last) > limit) break;
        const auto size = static_cast<double>(bytes.between(first, last));
        const double squares = best[groups - 1][last].squares + size * size;
        if (squares < best[groups][first].squares)
          best[groups][first] = {squares, static_cast<std::uint32_t>(last)};
      }
    }
  }
  DepthCuts cuts;
  for (std::size_t groups = count, at = 0; groups > 1; --groups) {
    at = best[groups][at].next;
    cuts.push_back(static_cast<std::uint32_t>(at));
  }
  return cuts;
}

}  // namespace

DepthCuts balance_depths(std::span<const Level> levels, std::size_t count) {
  if (count == 0 || count > levels.size()) {
    throw Error(ErrorCode::kInvalidArgument,
                "the number of segments must be between 1 and the depth");
  }
  const std::uint64_t limit = smallest_limit(levels, count);
  return is_searchable(levels.size(), count) ? most_even_cuts(levels, count, limit)
                                             : *fill(levels, count, limit);
}

Segmentation segment_at_depths(const Graph& graph, const DepthCuts& cuts) {
  Segmentation result;
  std::uint32_t first = 1;
  for (const std::uint32_t cut : cuts) {
    result.segments.push_back(graph.operators_between(first, cut));
    first = cut + 1;
  }
  result.segments.push_back(graph.operators_between(first, graph.depth()));
  check_segmentation(graph, result);
  return result;
}

}  // namespace segue
