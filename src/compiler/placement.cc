#include <algorithm>

#include "model/schema.h"
#include "segue/compiler.h"

namespace segue {
namespace {

bool is_supported_operation(OpCode code) {
  using B = tflite::BuiltinOperator;
  switch (static_cast<B>(code)) {
    case B::ADD:
    case B::AVERAGE_POOL_2D:
    case B::CONCATENATION:
    case B::CONV_2D:
    case B::DEPTHWISE_CONV_2D:
    case B::EXPAND_DIMS:
    case B::FULLY_CONNECTED:
    case B::L2_NORMALIZATION:
    case B::LOGISTIC:
    case B::MAXIMUM:
    case B::MAX_POOL_2D:
    case B::MEAN:
    case B::MINIMUM:
    case B::MUL:
    case B::PACK:
    case B::PAD:
    case B::PRELU:
    case B::QUANTIZE:
    case B::REDUCE_MAX:
    case B::REDUCE_MIN:
    case B::RELU:
    case B::RELU6:
    case B::RELU_N1_TO_1:
    case B::RESHAPE:
    case B::RESIZE_BILINEAR:
    case B::RESIZE_NEAREST_NEIGHBOR:
    case B::RSQRT:
    case B::SLICE:
    case B::SOFTMAX:
    case B::SPACE_TO_DEPTH:
    case B::SPLIT:
    case B::SQUARED_DIFFERENCE:
    case B::SQUEEZE:
    case B::STRIDED_SLICE:
    case B::SUB:
    case B::SUM:
    case B::TANH:
    case B::TRANSPOSE:
    case B::TRANSPOSE_CONV:
    case B::UNIDIRECTIONAL_SEQUENCE_LSTM:
      return true;
    default:
      return false;
  }
}

bool is_quantized_activation(const Tensor& tensor) {
  return tensor.type == ElementType::kInt8 || tensor.type == ElementType::kUint8;
}

// LSTM states are int16, but live inside the operator.
bool has_quantized_activations(const Model& model, const Operator& op) {
  const auto is_fine = [&](std::int32_t position) {
    if (position < 0) return true;
    const Tensor& tensor = model.tensor(tensor_id(position));
    return tensor.is_constant() || tensor.is_variable || is_quantized_activation(tensor);
  };
  return std::ranges::all_of(op.inputs, is_fine) && std::ranges::all_of(op.outputs, is_fine);
}

}  // namespace

bool is_supported_on_device(const Model& model, OperatorId id) {
  const Operator& op = model.op(id);
  return is_supported_operation(op.code) && has_quantized_activations(model, op);
}

std::vector<OperatorId> operators_on_host(const Graph& graph,
                                          std::span<const OperatorId> operators) {
  const Model& model = graph.model();
  std::vector<OperatorId> result;
  const auto is_new_host = [&](OperatorId id) { return !is_supported_on_device(model, id); };
  if (std::ranges::none_of(operators, is_new_host)) return result;
  // What the operators before an operator, and within the segment, are.
  struct State {
    bool is_inside = false;
    bool is_on_host = false;
    bool has_device_before = false;
  };
  std::vector<State> states(graph.operator_count());
  for (const OperatorId id : operators) {
    State& state = states[index(id)];
    state.is_inside = true;
    state.is_on_host = is_new_host(id);
    for (const OperatorId writer : graph.writers(id)) {
      const State& before = states[index(writer)];
      if (!before.is_inside) continue;
      state.has_device_before |= before.has_device_before || !before.is_on_host;
      state.is_on_host |= before.is_on_host && before.has_device_before;
    }
    if (state.is_on_host) result.push_back(id);
  }
  return result;
}

}  // namespace segue
