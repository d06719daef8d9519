#include "model/border.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "model/internal/state.h"
#include "model/model_state.h"
#include "segue/error.h"

namespace segue {
namespace {

// Throws if a path leaves the set and returns to it, because the segment would have to run twice.
void check_convex(const Model& model, const std::vector<bool>& inside) {
  std::vector<bool> behind(inside.size());  // outside the set, but after a member of it
  for (std::size_t i = 0; i < inside.size(); ++i) {
    for (const std::int32_t tensor : model.operators()[i].inputs) {
      if (tensor < 0) continue;
      const auto producer = model.producer(tensor_id(tensor));
      if (!producer) continue;
      const std::size_t p = index(*producer);
      if (inside[i] && behind[p]) {
        throw Error(
            ErrorCode::kInvalidArgument,
            fmt::format("{}: the segment is not convex: {} is outside the segment, but between its "
                        "operators; add it to the segment, or cut before {}",
                        model.name(), model.describe(*producer), model.describe(operator_id(i))));
      }
      if (!inside[i] && (inside[p] || behind[p])) behind[i] = true;
    }
  }
}

[[noreturn]] void refuse_sharing(const Model& model, const std::string& what, std::size_t first,
                                 std::size_t second) {
  throw Error(
      ErrorCode::kUnsupported,
      fmt::format("{}: two segments would share {}; keep all its users ({} and {}) in one segment",
                  model.name(), what, model.describe(operator_id(first)),
                  model.describe(operator_id(second))));
}

// Handles are to values that the runtime keeps.
bool is_handle(const Tensor& tensor) {
  return tensor.type == ElementType::kResource || tensor.type == ElementType::kVariant;
}

bool is_state(const Tensor& tensor) { return tensor.is_variable || is_handle(tensor); }

bool has_state(const Model& model, const Operator& op) {
  const auto is_operand_state = [&](std::int32_t position) {
    return position >= 0 && is_state(model.tensor(tensor_id(position)));
  };
  return std::ranges::any_of(op.inputs, is_operand_state) ||
         std::ranges::any_of(op.outputs, is_operand_state);
}

// Checks that no state crosses the border: neither variable tensors nor handles.
void check_state(const Model& model, const std::vector<bool>& inside) {
  std::map<std::int32_t, std::size_t> first_user;
  for (std::size_t i = 0; i < inside.size(); ++i) {
    const Operator& op = model.operators()[i];
    for (const auto& tensors : {op.inputs, op.outputs}) {
      for (const std::int32_t position : tensors) {
        if (position < 0) continue;
        const Tensor& tensor = model.tensor(tensor_id(position));
        if (!is_state(tensor)) continue;
        const auto [entry, is_new] = first_user.emplace(position, i);
        if (is_new || inside[entry->second] == inside[i]) continue;
        refuse_sharing(
            model,
            fmt::format("{} '{}'", is_handle(tensor) ? "the resource" : "variable tensor",
                        model.unique_name(tensor_id(position))),
            entry->second, i);
      }
    }
  }
}

// Checks handles by name, because two handles with the same name refer to the same variable.
void check_variable_names(const Model& model, const std::vector<bool>& inside) {
  std::map<std::pair<std::string, std::string>, std::size_t> first_user;
  const auto text = [](const flatbuffers::String* string) {
    return string == nullptr ? std::string() : string->str();
  };
  for (std::size_t i = 0; i < inside.size(); ++i) {
    if (model.operators()[i].code != OpCode::kVarHandle) continue;
    const auto* source = ModelReader::state(model).subgraph->operators()->Get(
        static_cast<flatbuffers::uoffset_t>(i));
    const auto* options = source->builtin_options_as_VarHandleOptions();
    const std::string name = options == nullptr ? "" : text(options->shared_name());
    const std::string container = options == nullptr ? "" : text(options->container());
    const auto [entry, is_new] = first_user.emplace(std::pair(container, name), i);
    if (!is_new && inside[entry->second] != inside[i])
      refuse_sharing(model, fmt::format("the resource variable '{}'", name), entry->second, i);
  }
}

// Throws if no operator computes a model output. Such an output belongs to no segment, so the
// segments together would lack it.
void check_outputs(const Model& model) {
  for (const TensorId id : model.outputs()) {
    if (model.producer(id)) continue;
    throw Error(ErrorCode::kUnsupported,
                fmt::format("{}: model output '{}' is a constant or an input that no operator "
                            "computes; remove it from the outputs and convert the model again",
                            model.name(), model.unique_name(id)));
  }
}

}  // namespace

std::vector<bool> membership(const Model& model, std::span<const OperatorId> operators) {
  std::vector<bool> inside(model.operators().size());
  for (const OperatorId id : operators) {
    if (index(id) >= inside.size()) {
      throw Error(ErrorCode::kInvalidArgument, fmt::format("{}: operator #{} of {} does not exist",
                                                           model.name(), index(id), inside.size()));
    }
    if (inside[index(id)]) {
      throw Error(ErrorCode::kInvalidArgument, fmt::format("{}: {} is listed twice in one segment",
                                                           model.name(), model.describe(id)));
    }
    inside[index(id)] = true;
  }
  return inside;
}

void check_extractable(const Model& model, const std::vector<bool>& inside) {
  check_convex(model, inside);
  check_state(model, inside);
  check_variable_names(model, inside);
  check_outputs(model);
  check_static_shapes(model);
}

SegmentBorder border_of(const Model& model, const std::vector<bool>& inside) {
  const std::size_t count = model.tensors().size();
  std::vector<bool> read_inside(count);
  std::vector<bool> read_outside(count);
  for (std::size_t i = 0; i < inside.size(); ++i) {
    for (const std::int32_t tensor : model.operators()[i].inputs) {
      if (tensor >= 0)
        (inside[i] ? read_inside : read_outside)[static_cast<std::size_t>(tensor)] = true;
    }
  }
  std::vector<bool> is_model_input(count);
  for (const TensorId id : model.inputs()) is_model_input[index(id)] = true;
  std::vector<bool> is_model_output(count);
  for (const TensorId id : model.outputs()) is_model_output[index(id)] = true;

  const auto written_inside = [&](TensorId id) {
    const auto producer = model.producer(id);
    return producer && inside[index(*producer)];
  };
  SegmentBorder border;
  std::vector<bool> is_listed(count);
  for (const TensorId id : model.inputs()) {
    if (read_inside[index(id)] && !is_listed[index(id)]) border.inputs.push_back(id);
    is_listed[index(id)] = true;
  }
  for (const TensorId id : model.outputs()) {
    if (written_inside(id) && !is_listed[index(id)]) border.outputs.push_back(id);
    is_listed[index(id)] = true;
  }
  for (std::size_t i = 0; i < count; ++i) {
    const TensorId id = tensor_id(i);
    if (!model.producer(id)) continue;
    if (written_inside(id)) {
      if (read_outside[i] && !is_model_output[i]) border.outputs.push_back(id);
    } else if (read_inside[i]) {
      border.inputs.push_back(id);
    }
  }
  return border;
}

SegmentBorder segment_border(const Model& model, std::span<const OperatorId> operators) {
  return border_of(model, membership(model, operators));
}

bool keeps_state(const Model& model) {
  return std::ranges::any_of(model.operators(),
                             [&](const Operator& op) { return has_state(model, op); });
}

bool keeps_state(const Model& model, std::span<const OperatorId> operators) {
  return std::ranges::any_of(operators,
                             [&](OperatorId id) { return has_state(model, model.op(id)); });
}

}  // namespace segue
