#include "zoo/operator_options.h"

namespace segue::zoo {
namespace {

namespace fb = flatbuffers;

tflite::ActivationFunctionType fused(Activation activation) {
  switch (activation) {
    case Activation::kNone:
      return tflite::ActivationFunctionType::NONE;
    case Activation::kRelu:
      return tflite::ActivationFunctionType::RELU;
    case Activation::kRelu6:
      return tflite::ActivationFunctionType::RELU6;
  }
  return tflite::ActivationFunctionType::NONE;
}

tflite::Padding padding(const Layer& layer) {
  return layer.window.padding == Padding::kSame ? tflite::Padding::SAME : tflite::Padding::VALID;
}

template <typename T>
OperatorOptions as_options(fb::Offset<T> offset) {
  return {tflite::BuiltinOptionsTraits<T>::enum_value, offset.Union()};
}

OperatorOptions reducer(fb::FlatBufferBuilder& builder, bool keeps_dimensions) {
  return as_options(tflite::CreateReducerOptions(builder, keeps_dimensions));
}

OperatorOptions strided_slice(fb::FlatBufferBuilder& builder, const Layer& layer) {
  const std::size_t masks = layer.constants.size() - 2;
  return as_options(tflite::CreateStridedSliceOptions(builder, layer.constants[masks],
                                                      layer.constants[masks + 1]));
}

OperatorOptions concatenation(fb::FlatBufferBuilder& builder, const Network& network,
                              const Layer& layer) {
  const std::int32_t axis = layer.constants.empty()
                                ? static_cast<std::int32_t>(network.channel_axis())
                                : layer.constants[0];
  return as_options(tflite::CreateConcatenationOptions(builder, axis));
}

}  // namespace

std::int32_t operator_version(const Layer& layer) {
  switch (layer.code) {
    case OpCode::kConv2D:
    case OpCode::kDepthwiseConv2D:
      return 3;
    case OpCode::kFullyConnected:
      return 4;
    case OpCode::kReshape:
    case OpCode::kQuantize:
    case OpCode::kHardSwish:
    case OpCode::kCustom:
      return 1;
    case OpCode::kResizeNearestNeighbor:
      return layer.has_half_pixel_centers ? 3 : 2;
    default:
      return 2;  // the int8 version of every other operator used here
  }
}

OperatorOptions operator_options(fb::FlatBufferBuilder& builder, const Network& network,
                                 const Layer& layer) {
  const auto activation = fused(layer.activation);
  const Window& window = layer.window;
  switch (layer.code) {
    case OpCode::kConv2D:
      return as_options(tflite::CreateConv2DOptions(builder, padding(layer), window.stride,
                                                    window.stride, activation));
    case OpCode::kDepthwiseConv2D:
      return as_options(tflite::CreateDepthwiseConv2DOptions(builder, padding(layer), window.stride,
                                                             window.stride, 1, activation));
    case OpCode::kFullyConnected:
      return as_options(tflite::CreateFullyConnectedOptions(builder, activation));
    case OpCode::kMaxPool2D:
    case OpCode::kAveragePool2D:
      return as_options(tflite::CreatePool2DOptions(builder, padding(layer), window.stride,
                                                    window.stride, window.width, window.height));
    case OpCode::kAdd:
      return as_options(tflite::CreateAddOptions(builder, activation));
    case OpCode::kPack:
      return as_options(tflite::CreatePackOptions(
          builder, static_cast<std::int32_t>(layer.inputs.size()), layer.constants[0]));
    case OpCode::kSub:
      return as_options(tflite::CreateSubOptions(builder, activation));
    case OpCode::kResizeNearestNeighbor:
      return as_options(
          tflite::CreateResizeNearestNeighborOptions(builder, false, layer.has_half_pixel_centers));
    case OpCode::kMul:
      return as_options(tflite::CreateMulOptions(builder, activation));
    case OpCode::kConcatenation:
      return concatenation(builder, network, layer);
    case OpCode::kMean:
      return reducer(builder, network.shape(layer.output).rank == 4);
    case OpCode::kPad:
      return as_options(tflite::CreatePadOptions(builder));
    case OpCode::kSoftmax:
      return as_options(tflite::CreateSoftmaxOptions(builder, 1.0F));
    case OpCode::kStridedSlice:
      return strided_slice(builder, layer);
    default:
      return {};
  }
}

}  // namespace segue::zoo
