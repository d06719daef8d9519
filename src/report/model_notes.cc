#include <fmt/format.h>
#include <fmt/ranges.h>

#include "model/internal/archive.h"
#include "model/internal/batch.h"
#include "model/internal/state.h"
#include "report/internal/plan_words.h"
#include "segue/error.h"
#include "segue/graph.h"
#include "segue/report.h"
#include "segue/units.h"

namespace segue {
namespace {

std::string open_batch_note(const Model& model) {
  std::vector<std::string> inputs;
  for (const TensorId id : open_batch_inputs(model)) {
    inputs.push_back(fmt::format("'{}' ({})", printable(model.unique_name(id)),
                                 fmt::join(model.tensor(id).shape_signature, "x")));
  }
  if (inputs.empty()) return "";
  return fmt::format("{}: the batch size of input {} is not fixed; segue uses 1, also in segments",
                     printable(model.name()), fmt::join(inputs, ", "));
}

std::string run_time_shapes_note(const Model& model) {
  const std::string remedy = fixed_shape_remedy(model);
  const RunTimeShapes shapes = run_time_shapes(model);
  if (shapes.sources.empty() || remedy.empty()) return "";
  const Graph graph(model);
  std::uint64_t bytes = 0;
  for (const OperatorId id : shapes.followers) bytes += graph.stats(id).parameter_bytes;
  return fmt::format(
      "{}: {} computes a shape at run time; Google's compiler leaves it and {} after it ({} of "
      "parameters) to the host, or fails to compile the segment; to run them on TPUs, {}",
      printable(model.name()), printable(model.describe(shapes.sources[0])),
      format_count(shapes.followers.size(), "operator"), format_bytes(bytes), remedy);
}

std::string state_note(const Model& model) {
  if (!keeps_state(model)) return "";
  return printable(model.name()) +
         ": the model keeps state between inputs, so its stages have no replicas";
}

std::string lost_files(const Model& model) {
  const std::string note = lost_files_note(model);
  return note.empty() ? "" : fmt::format("{}: {}", printable(model.name()), note);
}

}  // namespace

std::vector<std::string> model_notes(const Model& model) {
  std::vector<std::string> notes;
  if (!obstacles_to_cutting(model).empty()) return notes;
  for (std::string note : {lost_files(model), open_batch_note(model), run_time_shapes_note(model),
                           state_note(model)}) {
    if (!note.empty()) notes.push_back(std::move(note));
  }
  return notes;
}

std::vector<std::string> obstacles_to_cutting(const Model& model) {
  std::vector<std::string> obstacles;
  for (const auto& check : {check_not_compiled, check_static_shapes}) {
    try {
      check(model);
    } catch (const Error& error) {
      obstacles.push_back(printable(error.what(), 1000));
    }
  }
  return obstacles;
}

}  // namespace segue
