#include "model/unpacked.h"

#include "model/model_state.h"

namespace segue {
namespace {

template <typename Union>
void clear_if_empty(Union& held) {
  if (held.value == nullptr) held.Reset();
}

}  // namespace

tflite::OperatorT unpacked_operator(const Model& model, OperatorId id) {
  tflite::OperatorT op;
  const auto* operators = ModelReader::state(model).subgraph->operators();
  operators->Get(static_cast<flatbuffers::uoffset_t>(index(id)))->UnPackTo(&op);
  clear_if_empty(op.builtin_options);
  clear_if_empty(op.builtin_options_2);
  const auto options = model.op(id).custom_data;
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(options.data());
  op.custom_options.assign(bytes, bytes + options.size());
  op.large_custom_options_offset = 0;
  op.large_custom_options_size = 0;
  return op;
}

tflite::TensorT unpacked_tensor(const Model& model, TensorId id) {
  tflite::TensorT tensor;
  const auto* tensors = ModelReader::state(model).subgraph->tensors();
  tensors->Get(static_cast<flatbuffers::uoffset_t>(index(id)))->UnPackTo(&tensor);
  if (tensor.quantization != nullptr) clear_if_empty(tensor.quantization->details);
  if (tensor.sparsity != nullptr) {
    for (const auto& dimension : tensor.sparsity->dim_metadata) {
      clear_if_empty(dimension->array_segments);
      clear_if_empty(dimension->array_indices);
    }
  }
  return tensor;
}

}  // namespace segue
