// Writes a model as text, which must be equal for two converters of the same network.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <span>
#include <string>
#include <vector>

#include "model/internal/schema.h"

namespace segue::testing {

// Returns the relevant options of an operator, in the order of the schema.
inline std::vector<std::int32_t> decisions(const tflite::Operator& op) {
  const auto number = [](auto value) { return static_cast<std::int32_t>(value); };
  if (const auto* o = op.builtin_options_as_Conv2DOptions())
    return {number(o->padding()), o->stride_h(), o->stride_w(),
            number(o->fused_activation_function())};
  if (const auto* o = op.builtin_options_as_DepthwiseConv2DOptions())
    return {number(o->padding()), o->stride_h(), o->stride_w(),
            number(o->fused_activation_function())};
  if (const auto* o = op.builtin_options_as_Pool2DOptions())
    return {number(o->padding()), o->stride_h(), o->stride_w(), o->filter_height(),
            o->filter_width()};
  if (const auto* o = op.builtin_options_as_AddOptions())
    return {number(o->fused_activation_function())};
  if (const auto* o = op.builtin_options_as_MulOptions())
    return {number(o->fused_activation_function())};
  if (const auto* o = op.builtin_options_as_FullyConnectedOptions())
    return {number(o->fused_activation_function())};
  if (const auto* o = op.builtin_options_as_SubOptions())
    return {number(o->fused_activation_function())};
  if (const auto* o = op.builtin_options_as_ConcatenationOptions()) return {o->axis()};
  if (const auto* o = op.builtin_options_as_PackOptions()) return {o->axis()};
  if (const auto* o = op.builtin_options_as_ResizeNearestNeighborOptions())
    return {number(o->align_corners()), number(o->half_pixel_centers())};
  if (const auto* o = op.builtin_options_as_ReducerOptions()) return {number(o->keep_dims())};
  if (const auto* o = op.builtin_options_as_StridedSliceOptions())
    return {o->begin_mask(), o->end_mask()};
  return {};
}

// Returns a constant's shape, with the number and dimension of its scales or with its values.
inline std::string constant_text(const tflite::Model& model, const tflite::Tensor& tensor) {
  const std::string shape = fmt::format("{}", fmt::join(*tensor.shape(), "x"));
  const auto* quantization = tensor.quantization();
  if (quantization != nullptr && quantization->scale() != nullptr)
    return fmt::format("{}:{}@{}", shape, quantization->scale()->size(),
                       quantization->quantized_dimension());
  if (tensor.type() != tflite::TensorType::INT32) return shape;
  const auto* data = model.buffers()->Get(tensor.buffer())->data();
  const std::span values(reinterpret_cast<const std::int32_t*>(data->data()), data->size() / 4);
  return fmt::format("{}={}", shape, fmt::join(values, ","));
}

// Writes a line per operator: code, version, output shape and options, then its inputs: operators
// by position, constants by shape.
inline std::string listing(const tflite::Model& model) {
  const auto& graph = *model.subgraphs()->Get(0);
  std::map<std::int32_t, std::string> names{{graph.inputs()->Get(0), "input"}};
  std::string text;
  for (std::uint32_t i = 0; i < graph.operators()->size(); ++i) {
    const auto& op = *graph.operators()->Get(i);
    const auto& code = *model.operator_codes()->Get(op.opcode_index());
    const std::int32_t output = op.outputs()->Get(0);
    text += fmt::format(
        "{} v{} {}", tflite::EnumNameBuiltinOperator(code.builtin_code()), code.version(),
        fmt::join(*graph.tensors()->Get(static_cast<std::uint32_t>(output))->shape(), "x"));
    if (op.builtin_options_type() == tflite::BuiltinOptions::NONE) text += " -";
    for (const std::int32_t decision : decisions(op)) text += fmt::format(" {}", decision);
    for (const std::int32_t input : *op.inputs()) {
      const auto& tensor = *graph.tensors()->Get(static_cast<std::uint32_t>(input));
      text += " " + (names.contains(input) ? names[input] : constant_text(model, tensor));
    }
    text += '\n';
    names[output] = fmt::format("#{}", i);
  }
  return text;
}

}  // namespace segue::testing
