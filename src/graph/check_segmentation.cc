#include <fmt/format.h>

#include "segue/error.h"
#include "segue/graph.h"

namespace segue {

void check_segmentation(const Graph& graph, const Segmentation& segmentation) {
  constexpr auto kNowhere = static_cast<std::size_t>(-1);
  const Model& model = graph.model();
  const auto fail = [&](const std::string& reason) {
    throw Error(ErrorCode::kInvalidArgument, model.name() + ": " + reason);
  };
  std::vector<std::size_t> home(graph.operator_count(), kNowhere);
  for (std::size_t s = 0; s < segmentation.segments.size(); ++s) {
    if (segmentation.segments[s].empty()) fail(fmt::format("segment {} has no operators", s));
    for (const OperatorId id : segmentation.segments[s]) {
      if (index(id) >= home.size()) {
        fail(fmt::format("segment {} contains operator {}, but the model has {} operators", s,
                         index(id), home.size()));
      }
      if (home[index(id)] != kNowhere) {
        fail(fmt::format("{} is in segments {} and {}", model.describe(id), home[index(id)], s));
      }
      home[index(id)] = s;
    }
  }
  for (std::size_t i = 0; i < home.size(); ++i) {
    const OperatorId id = operator_id(i);
    if (home[i] == kNowhere) fail(model.describe(id) + " is not in any segment");
    for (const OperatorId writer : graph.writers(id)) {
      if (home[index(writer)] > home[i]) {
        fail(fmt::format("{} in segment {} reads a result of {} in the later segment {}",
                         model.describe(id), home[i], model.describe(writer), home[index(writer)]));
      }
    }
  }
}

}  // namespace segue
