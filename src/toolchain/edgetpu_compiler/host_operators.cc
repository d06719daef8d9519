#include "toolchain/edgetpu_compiler/host_operators.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <tuple>

#include "segue/cost.h"
#include "segue/graph.h"

namespace segue {
namespace {

struct Counts {
  std::uint64_t mapped = 0;
  std::uint64_t unmapped = 0;
};

std::map<std::string, Counts, std::less<>> counts_by_name(const CompilerLog& log) {
  std::map<std::string, Counts, std::less<>> counts;
  for (const CompiledOperation& operation : log.operations) {
    Counts& of_name = counts[operation.name];
    (operation.is_mapped() ? of_name.mapped : of_name.unmapped) += operation.count;
  }
  return counts;
}

// Returns the tensors that are written by operators of a compiled file other than compiled
// programs.
std::set<std::string_view> tensors_written_on_host(const Model& compiled) {
  std::set<std::string_view> names;
  for (const Operator& op : compiled.operators()) {
    if (is_compiled_program(op)) continue;
    for (const std::int32_t tensor : op.outputs)
      names.insert(compiled.tensor(tensor_id(tensor)).name);
  }
  return names;
}

// Returns the operators of a model, most likely on the host first.
std::vector<OperatorId> by_likelihood(const Model& source, const Model& compiled,
                                      std::span<const OperatorId> simulated_on_host) {
  const auto written = tensors_written_on_host(compiled);
  const auto rank = [&](OperatorId id) {
    const Operator& op = source.op(id);
    const bool is_written =
        !op.outputs.empty() && written.contains(source.tensor(tensor_id(op.outputs[0])).name);
    return std::tuple(is_written, std::ranges::binary_search(simulated_on_host, id), id);
  };
  std::vector<OperatorId> operators;
  for (std::size_t i = 0; i < source.operators().size(); ++i) operators.push_back(operator_id(i));
  std::ranges::sort(operators, std::ranges::greater{}, rank);
  return operators;
}

}  // namespace

std::optional<std::vector<OperatorId>> operators_left_to_host(const CompilerLog& log,
                                                              const Model& source,
                                                              const Model& compiled) {
  if (log.operations.empty()) return std::nullopt;
  const Graph graph(source);
  const auto simulated = operators_on_host(graph, graph.operators_between(1, graph.depth()));
  const auto counts = counts_by_name(log);
  // Returns the row of an operator in the log. Custom operators have no name there.
  const auto row_of = [&](const Operator& op) {
    const auto row = counts.find(op.name);
    return row == counts.end() && op.code == OpCode::kCustom ? counts.find("CUSTOM") : row;
  };
  std::map<std::string_view, std::uint64_t> operators;  // of the model, by row
  for (const Operator& op : source.operators()) {
    if (const auto row = row_of(op); row != counts.end()) ++operators[row->first];
  }
  std::map<std::string_view, std::uint64_t> left;  // still to be found, by row
  for (const auto& [name, count] : operators) {
    const Counts& of_log = counts.find(name)->second;
    left[name] = std::min(of_log.unmapped, count - std::min(of_log.mapped, count));
  }
  std::vector<OperatorId> result;
  for (const OperatorId id : by_likelihood(source, compiled, simulated)) {
    const auto row = row_of(source.op(id));
    if (row == counts.end()) {
      if (std::ranges::binary_search(simulated, id)) result.push_back(id);
    } else if (left[row->first] > 0) {
      --left[row->first];
      result.push_back(id);
    }
  }
  std::ranges::sort(result);
  return result;
}

}  // namespace segue
