#include <fmt/format.h>

#include <algorithm>

#include "segue/error.h"
#include "segue/segmentation.h"
#include "segue/units.h"

namespace segue {
namespace {

OperatorId writer_of(const Graph& graph, const std::string& name) {
  const Model& model = graph.model();
  const auto tensor = model.find_tensor(name);
  if (!tensor) {
    std::vector<std::string> known;
    for (std::size_t i = 0; i < model.tensors().size(); ++i) {
      const TensorId id = tensor_id(i);
      if (model.producer(id)) known.push_back(model.unique_name(id));
    }
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: cannot cut at '{}': no such tensor{}; `segue inspect` lists them",
                            model.name(), name, did_you_mean(name, known)));
  }
  const auto writer = model.producer(*tensor);
  if (!writer) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format(
            "{}: cannot cut at '{}': it is an input or a constant; name the output of an operator",
            model.name(), name));
  }
  return *writer;
}

// Returns all operators on which `last` depends, and `last` itself.
std::vector<bool> ancestors(const Graph& graph, OperatorId last) {
  std::vector<bool> result(graph.operator_count());
  std::vector<OperatorId> stack{last};
  result[index(last)] = true;
  while (!stack.empty()) {
    const OperatorId id = stack.back();
    stack.pop_back();
    for (const OperatorId writer : graph.writers(id)) {
      if (result[index(writer)]) continue;
      result[index(writer)] = true;
      stack.push_back(writer);
    }
  }
  return result;
}

}  // namespace

Segmentation segment_at(const Graph& graph, std::span<const std::string> tensors) {
  std::vector<std::pair<OperatorId, std::string>> cuts;
  for (const std::string& name : tensors) cuts.emplace_back(writer_of(graph, name), name);
  std::ranges::sort(cuts);

  Segmentation result;
  std::vector<bool> taken(graph.operator_count());
  const auto take = [&](const std::vector<bool>& wanted, const std::string& cut) {
    std::vector<OperatorId> segment;
    for (std::size_t i = 0; i < taken.size(); ++i) {
      if (!wanted[i] || taken[i]) continue;
      taken[i] = true;
      segment.push_back(operator_id(i));
    }
    if (segment.empty()) {
      throw Error(
          ErrorCode::kInvalidArgument,
          fmt::format("{}: cutting at '{}' leaves a segment without operators; remove this cut",
                      graph.model().name(), cut));
    }
    result.segments.push_back(std::move(segment));
  };
  for (const auto& [writer, name] : cuts) take(ancestors(graph, writer), name);
  take(std::vector<bool>(taken.size(), true), cuts.empty() ? "" : cuts.back().second);
  check_segmentation(graph, result);
  return result;
}

}  // namespace segue
