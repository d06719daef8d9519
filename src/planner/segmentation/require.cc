#include "planner/segmentation/require.h"

#include <fmt/format.h>

#include "segue/error.h"
#include "segue/segmentation.h"
#include "segue/units.h"

namespace segue {

void require_segments(const Graph& graph, std::size_t count, std::size_t available,
                      const char* what) {
  if (count == 0)
    throw Error(ErrorCode::kInvalidArgument, "0 segments requested; at least 1 is needed");
  if (count > available) {
    throw Error(
        ErrorCode::kInfeasible,
        fmt::format(
            "{}: {} requested, but the model has only {} to cut between; request at most {}",
            graph.model().name(), format_count(count, "segment"), format_count(available, what),
            available));
  }
}

}  // namespace segue
