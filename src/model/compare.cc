#include <algorithm>

#include "model/model_state.h"

namespace segue {
namespace {

tflite::OperatorT unpack(const Model& model, OperatorId id) {
  tflite::OperatorT op;
  const auto* operators = ModelReader::state(model).subgraph->operators();
  operators->Get(static_cast<flatbuffers::uoffset_t>(index(id)))->UnPackTo(&op);
  return op;
}

}  // namespace

bool same_operation(const Model& a, OperatorId in_a, const Model& b, OperatorId in_b) {
  const Operator& first = a.op(in_a);
  const Operator& second = b.op(in_b);
  if (first.code != second.code || first.version != second.version || first.name != second.name)
    return false;
  if (!std::ranges::equal(first.custom_data, second.custom_data)) return false;
  const tflite::OperatorT x = unpack(a, in_a);
  const tflite::OperatorT y = unpack(b, in_b);
  return x.builtin_options == y.builtin_options && x.builtin_options_2 == y.builtin_options_2 &&
         x.mutating_variable_inputs == y.mutating_variable_inputs;
}

}  // namespace segue
