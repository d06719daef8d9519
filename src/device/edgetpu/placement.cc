#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

#include "model/internal/operator_kinds.h"
#include "segue/cost.h"
#include "segue/error.h"
#include "segue/units.h"

namespace segue {
namespace {

// "Supports only 1-D input tensor with a max of 16,000 elements"
// (coral.ai/docs/edgetpu/models-intro, "Supported operations").
constexpr std::uint64_t kLargestSoftmax = 16'000;

std::int32_t newest_version(OpCode code) { return kind_of(code).newest_on_device; }

bool is_quantized_activation(const Tensor& tensor) {
  return tensor.type == ElementType::kInt8 || tensor.type == ElementType::kUint8;
}

// Whether only the three innermost dimensions are larger than 1. Vectors and matrices have no batch
// of maps and are accepted.
bool has_three_dimensions(const Tensor& tensor) {
  if (tensor.shape.size() <= 3) return true;
  const auto outer = tensor.shape.first(tensor.shape.size() - 3);
  return std::ranges::all_of(outer, [](std::int32_t extent) { return extent == 1; });
}

// Whether the batch of a map [N, H, W, C], or of the vectors [N, C] of a dense layer, is larger
// than 1.
bool has_batch(const Operator& op, const Tensor& tensor) {
  if (tensor.shape.empty() || tensor.shape[0] <= 1) return false;
  return tensor.shape.size() == 4 ||
         (tensor.shape.size() == 2 && kind_of(op.code).loop == Loop::kDense);
}

// Whether PACK writes the tensor. Its additional dimension lies inside a map or its channels, so
// the device concatenates; a RESHAPE behind it restores three dimensions. SSD MobileNet FPN takes
// 175 ms on one device, although 70 % of its products depend on such tensors, which a host would
// compute for more than a second.
bool is_packed(const Model& model, const Operator& op, const Tensor& tensor) {
  if (tensor.shape[0] > 1) return false;  // packed along the batch
  if (op.code == OpCode::kPack) return true;
  if (op.code != OpCode::kReshape || op.inputs.empty() || op.inputs[0] < 0 ||
      &tensor != &model.tensor(tensor_id(op.inputs[0])))
    return false;
  const auto writer = model.producer(tensor_id(op.inputs[0]));
  return writer && model.op(*writer).code == OpCode::kPack;
}

HostCause cause_of_tensor(const Model& model, const Operator& op, const Tensor& tensor) {
  if (tensor.is_constant() || tensor.is_variable) return HostCause::kNone;
  if (!is_quantized_activation(tensor)) return HostCause::kType;
  if (has_batch(op, tensor)) return HostCause::kBatch;
  if (!has_three_dimensions(tensor) && !is_packed(model, op, tensor)) return HostCause::kDimensions;
  return HostCause::kNone;
}

HostCause cause_of_tensors(const Model& model, const Operator& op) {
  for (const auto tensors : {op.inputs, op.outputs}) {
    for (const std::int32_t position : tensors) {
      if (position < 0) continue;
      const HostCause cause = cause_of_tensor(model, op, model.tensor(tensor_id(position)));
      if (cause != HostCause::kNone) return cause;
    }
  }
  return HostCause::kNone;
}

bool has_computed_weights(const Model& model, const Operator& op) {
  if (!has_weights(kind_of(op.code).loop) || op.inputs.size() < 2 || op.inputs[1] < 0) return false;
  return !model.tensor(tensor_id(op.inputs[1])).is_constant();
}

bool is_large_softmax(const Model& model, const Operator& op) {
  if (op.code != OpCode::kSoftmax || op.inputs.empty() || op.inputs[0] < 0) return false;
  return model.tensor(tensor_id(op.inputs[0])).bytes > kLargestSoftmax;
}

std::string_view type_of_first_other(const Model& model, const Operator& op) {
  for (const auto tensors : {op.inputs, op.outputs}) {
    for (const std::int32_t position : tensors) {
      if (position < 0) continue;
      const Tensor& tensor = model.tensor(tensor_id(position));
      if (cause_of_tensor(model, op, tensor) == HostCause::kType) return to_string(tensor.type);
    }
  }
  return "";
}

// Integers wider than 8 bits are shapes and indices, which quantization does not change.
HostReason reason_of_type(std::string_view type) {
  const bool is_integer = type == "INT32" || type == "INT64";
  return {fmt::format("{} activations; the Edge TPU supports only INT8 and UINT8", type),
          is_integer ? "convert with a fixed input shape, so that the converter computes shapes "
                       "and indices (examples/keras_to_tflite.py)"
                     : "convert with full integer quantization (inference_input_type and "
                       "inference_output_type int8)"};
}

}  // namespace

HostCause host_cause(const Model& model, OperatorId id) {
  const Operator& op = model.op(id);
  const std::int32_t newest = newest_version(op.code);
  if (newest == 0) return HostCause::kOperation;
  if (op.version > newest) return HostCause::kVersion;
  if (has_computed_weights(model, op)) return HostCause::kWeights;
  if (is_large_softmax(model, op)) return HostCause::kSoftmax;
  return cause_of_tensors(model, op);
}

HostReason host_reason(const Model& model, OperatorId id) {
  const Operator& op = model.op(id);
  switch (host_cause(model, id)) {
    case HostCause::kNone:
      return {};
    case HostCause::kOperation:
      return {"the Edge TPU does not support this operation",
              "replace it by supported operations, or move it to the end of the model, where it "
              "costs least"};
    case HostCause::kVersion:
      return {fmt::format("version {}; edgetpu_compiler 16 supports versions up to {}", op.version,
                          newest_version(op.code)),
              "convert with an older TensorFlow, or without the option that needs this version"};
    case HostCause::kType:
      return reason_of_type(type_of_first_other(model, op));
    case HostCause::kBatch:
      return {"a batch size larger than 1", "convert with batch size 1"};
    case HostCause::kDimensions:
      return {"a tensor with more than 3 inner dimensions over 1",
              "reshape, so that only the three innermost dimensions are larger than 1"};
    case HostCause::kWeights:
      return {"its weights are computed at run time", "make the weights constants"};
    case HostCause::kSoftmax:
      return {fmt::format("a SOFTMAX of more than {} elements", kLargestSoftmax),
              "remove it from the model, and compute it on the host from the output"};
  }
  return {};
}

bool is_supported_on_device(const Model& model, OperatorId id) {
  return host_cause(model, id) == HostCause::kNone;
}

std::vector<OperatorId> operators_on_host(const Graph& graph,
                                          std::span<const OperatorId> operators) {
  const Model& model = graph.model();
  std::vector<OperatorId> result;
  const auto is_new_host = [&](OperatorId id) { return !is_supported_on_device(model, id); };
  if (std::ranges::none_of(operators, is_new_host)) return result;
  // What is known about an operator and its predecessors in the segment.
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

std::vector<OperatorId> operators_on_host(const Graph& graph, std::span<const OperatorId> operators,
                                          const MemoryReport& report) {
  return report.host_operators ? *report.host_operators : operators_on_host(graph, operators);
}

std::vector<bool> possible_host_operators(const Graph& graph) {
  std::vector<bool> may_be(graph.operator_count());
  for (std::size_t i = 0; i < may_be.size(); ++i) {
    const OperatorId id = operator_id(i);
    may_be[i] = !is_supported_on_device(graph.model(), id) ||
                std::ranges::any_of(graph.writers(id),
                                    [&](OperatorId writer) { return may_be[index(writer)]; });
  }
  return may_be;
}

namespace {

bool has_constant(const Model& model, ElementType type) {
  return std::ranges::any_of(model.tensors(), [&](const Tensor& tensor) {
    return tensor.is_constant() && tensor.type == type && tensor.shape.size() > 1;
  });
}

bool has_activation(const Model& model, ElementType type) {
  return std::ranges::any_of(model.tensors(), [&](const Tensor& tensor) {
    return !tensor.is_constant() && tensor.type == type;
  });
}

// Describes the conversion of the model, if that explains why no operator runs on the device.
std::string kind_of_model(const Model& model) {
  if (has_activation(model, ElementType::kInt16)) return "its activations are 16-bit (int16x8)";
  if (!has_activation(model, ElementType::kFloat32)) return "";
  if (has_constant(model, ElementType::kFloat16)) return "its weights are float16";
  if (has_constant(model, ElementType::kInt8))
    return "only its weights are 8-bit (dynamic range quantization)";
  return "it is a float model";
}

}  // namespace

void check_can_be_planned(const Model& model, const DeviceSpec& device) {
  check_not_compiled(model);
  check_static_shapes(model);
  for (std::size_t i = 0; i < model.operators().size(); ++i) {
    if (device.model->supports(model, operator_id(i))) return;
  }
  if (device.model != &edgetpu_model()) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("{}: no operator is supported by the device '{}' ({})", model.name(),
                            device.name, format_count(model.operators().size(), "operator")));
  }
  const std::string kind =
      host_cause(model, operator_id(0)) == HostCause::kType ? kind_of_model(model) : "";
  const HostReason first = host_reason(model, operator_id(0));
  throw Error(
      ErrorCode::kUnsupported,
      fmt::format(
          "{}: no operator is supported by the Edge TPU ({}): {}; {}", model.name(),
          format_count(model.operators().size(), "operator"),
          kind.empty() ? fmt::format("{}: {}", model.describe(operator_id(0)), first.reason) : kind,
          kind.empty() ? first.remedy
                       : "convert it with full integer quantization: "
                         "tf.lite.OpsSet.TFLITE_BUILTINS_INT8 with a "
                         "representative_dataset"));
}

}  // namespace segue
