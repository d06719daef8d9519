#include "model/internal/batch.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string>
#include <utility>

#include "model/element_bits.h"
#include "model/first_extent.h"
#include "segue/error.h"

namespace segue {
namespace {

constexpr std::int32_t kOpen = -1;

bool is_open(const Tensor& tensor) {
  return std::ranges::find(tensor.shape_signature, kOpen) != tensor.shape_signature.end();
}

// Whether the first extent is open and no other.
bool is_open_in_batch(const Tensor& tensor) {
  const auto signature = tensor.shape_signature;
  return signature.size() == tensor.shape.size() && !signature.empty() && signature[0] == kOpen &&
         std::ranges::equal(signature.subspan(1), tensor.shape.subspan(1));
}

void set_first_extent(Model::State& state, Tensor& tensor, std::int32_t extent) {
  std::vector<std::int32_t> shape(tensor.shape.begin(), tensor.shape.end());
  shape[0] = extent;
  const auto elements = element_count(shape);
  if (!elements) return;
  tensor.is_shape_known = true;
  if (std::ranges::equal(shape, tensor.shape)) return;
  constexpr unsigned kByteBits = 8;
  tensor.bytes = (*elements * element_bits(tensor.type) + kByteBits - 1) / kByteBits;
  tensor.shape = state.batch_1_shapes.emplace_back(std::move(shape));
}

// Returns for example "1,?,?,3", with "?" for each extent that only the user knows.
std::string fixed_shape(const Tensor& tensor) {
  std::vector<std::string> extents;
  for (std::size_t i = 0; i < tensor.shape_signature.size(); ++i) {
    const std::int32_t extent = tensor.shape_signature[i];
    extents.push_back(extent != kOpen ? std::to_string(extent) : i == 0 ? "1" : "?");
  }
  return fmt::format("{}", fmt::join(extents, ","));
}

std::string remedy(const Model& model, const std::optional<OperatorId>& decider) {
  const std::string fixed = fixed_shape_remedy(model);
  if (!fixed.empty()) return fixed;
  return fmt::format(
      "its shape depends on values, not on the input shape: convert the model without {} and the "
      "operators after it, and compute them on the host",
      decider ? model.describe(*decider) : "it");
}

[[noreturn]] void refuse(const Model& model, TensorId id) {
  const auto decider = model.producer(id);
  throw Error(
      ErrorCode::kUnsupported,
      fmt::format(
          "{}: the shape of tensor '{}' ({}) is known only at run time: its signature is {}; {}",
          model.name(), model.unique_name(id),
          decider ? "of " + model.describe(*decider) : "a model input",
          fmt::join(model.tensor(id).shape_signature, "x"), remedy(model, decider)));
}

}  // namespace

void fix_batch(Model::State& state) {
  for (Tensor& tensor : state.tensors)
    tensor.is_shape_known = tensor.is_constant() || !is_open(tensor);
  for (const TensorId id : state.inputs) {
    Tensor& tensor = state.tensors[index(id)];
    if (!tensor.is_shape_known && is_open_in_batch(tensor)) set_first_extent(state, tensor, 1);
  }
  for (std::size_t i = 0; i < state.operators.size(); ++i) {
    for (const std::int32_t output : state.operators[i].outputs) {
      Tensor& tensor = state.tensors[static_cast<std::size_t>(output)];
      if (tensor.is_shape_known || !is_open_in_batch(tensor)) continue;
      if (const auto extent = first_extent(state, operator_id(i), tensor))
        set_first_extent(state, tensor, *extent);
    }
  }
}

std::string fixed_shape_remedy(const Model& model) {
  const auto open =
      std::ranges::find_if(model.inputs(), [&](TensorId id) { return is_open(model.tensor(id)); });
  if (open == model.inputs().end()) return "";
  return fmt::format(
      "convert the model with a fixed input shape, for example tf.TensorSpec([{}]) with "
      "tf.lite.TFLiteConverter.from_concrete_functions (see examples/keras_to_tflite.py)",
      fixed_shape(model.tensor(*open)));
}

RunTimeShapes run_time_shapes(const Model& model) {
  constexpr auto kShape = static_cast<OpCode>(tflite::BuiltinOperator::SHAPE);
  RunTimeShapes result;
  std::vector<bool> follows(model.tensors().size());
  for (std::size_t i = 0; i < model.operators().size(); ++i) {
    const Operator& op = model.operators()[i];
    const bool is_source = op.code == kShape;
    const bool is_follower = std::ranges::any_of(op.inputs, [&](std::int32_t tensor) {
      return tensor >= 0 && follows[static_cast<std::size_t>(tensor)];
    });
    if (!is_source && !is_follower) continue;
    (is_source ? result.sources : result.followers).push_back(operator_id(i));
    for (const std::int32_t tensor : op.outputs) follows[static_cast<std::size_t>(tensor)] = true;
  }
  return result;
}

std::vector<TensorId> open_batch_inputs(const Model& model) {
  std::vector<TensorId> result;
  for (const TensorId id : model.inputs()) {
    if (is_open(model.tensor(id)) && model.tensor(id).is_shape_known) result.push_back(id);
  }
  return result;
}

void check_static_shapes(const Model& model) {
  const auto check = [&](TensorId id) {
    if (!model.tensor(id).is_shape_known) refuse(model, id);
  };
  for (const TensorId id : model.inputs()) check(id);
  for (const Operator& op : model.operators()) {
    for (const std::int32_t output : op.outputs) check(tensor_id(output));
  }
}

}  // namespace segue
