#include "model_builder.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

namespace segue::testing {
namespace {

constexpr float kScale = 1.0F / 16;

std::size_t element_bytes(tflite::TensorType type) {
  return type == tflite::TensorType::INT32 || type == tflite::TensorType::FLOAT32 ? 4 : 1;
}

}  // namespace

ModelBuilder::ModelBuilder() {
  model_.version = 3;
  model_.description = "built by a test";
  model_.buffers.push_back(std::make_unique<tflite::BufferT>());
  model_.subgraphs.push_back(std::make_unique<tflite::SubGraphT>());
  graph().name = "main";
}

TensorIndex ModelBuilder::tensor(const std::string& name, std::vector<std::int32_t> shape) {
  auto tensor = std::make_unique<tflite::TensorT>();
  tensor->name = name;
  tensor->type = tflite::TensorType::INT8;
  tensor->shape = std::move(shape);
  tensor->quantization = std::make_unique<tflite::QuantizationParametersT>();
  tensor->quantization->scale = {kScale};
  tensor->quantization->zero_point = {0};
  graph().tensors.push_back(std::move(tensor));
  return static_cast<TensorIndex>(graph().tensors.size() - 1);
}

TensorIndex ModelBuilder::input(const std::string& name, std::vector<std::int32_t> shape) {
  const TensorIndex x = tensor(name, std::move(shape));
  graph().inputs.push_back(x);
  return x;
}

TensorIndex ModelBuilder::constant(const std::string& name, tflite::TensorType type,
                                   std::vector<std::int32_t> shape) {
  std::size_t elements = 1;
  for (const std::int32_t extent : shape) elements *= static_cast<std::size_t>(extent);
  const TensorIndex x = tensor(name, std::move(shape));
  at(x).type = type;
  at(x).buffer = static_cast<std::uint32_t>(model_.buffers.size());
  auto buffer = std::make_unique<tflite::BufferT>();
  buffer->data.resize(elements * element_bytes(type));
  const std::size_t step = element_bytes(type);
  for (std::size_t i = 0; i < elements; ++i)
    buffer->data[i * step] = static_cast<std::uint8_t>((i * 37 + at(x).buffer * 11) % 97);
  model_.buffers.push_back(std::move(buffer));
  return x;
}

TensorIndex ModelBuilder::int32_constant(const std::string& name,
                                         const std::vector<std::int32_t>& values) {
  const TensorIndex x =
      constant(name, tflite::TensorType::INT32, {static_cast<std::int32_t>(values.size())});
  std::memcpy(model_.buffers.back()->data.data(), values.data(), values.size() * 4);
  at(x).quantization.reset();
  return x;
}

tflite::OperatorT& ModelBuilder::op(tflite::BuiltinOperator code, std::vector<TensorIndex> inputs,
                                    std::vector<TensorIndex> outputs) {
  auto& codes = model_.operator_codes;
  auto found = std::ranges::find_if(codes, [&](const auto& c) { return c->builtin_code == code; });
  if (found == codes.end()) {
    auto entry = std::make_unique<tflite::OperatorCodeT>();
    entry->builtin_code = code;
    entry->deprecated_builtin_code =
        static_cast<std::int8_t>(std::min(static_cast<int>(code), 127));
    entry->version = code == tflite::BuiltinOperator::CUSTOM ? 1
                     : code == tflite::BuiltinOperator::RELU ? 2
                                                             : 3;
    codes.push_back(std::move(entry));
    found = codes.end() - 1;
  }
  auto op = std::make_unique<tflite::OperatorT>();
  op->opcode_index = static_cast<std::uint32_t>(found - codes.begin());
  op->inputs = std::move(inputs);
  op->outputs = std::move(outputs);
  graph().operators.push_back(std::move(op));
  return *graph().operators.back();
}

TensorIndex ModelBuilder::conv(TensorIndex x, const std::string& name, std::int32_t filters,
                               std::int32_t kernel) {
  const auto in = shape(x);
  const TensorIndex weights =
      constant(name + "/kernel", tflite::TensorType::INT8, {filters, kernel, kernel, in[3]});
  const TensorIndex bias = constant(name + "/bias", tflite::TensorType::INT32, {filters});
  at(weights).quantization->scale.assign(static_cast<std::size_t>(filters), kScale / 16);
  at(weights).quantization->zero_point.assign(static_cast<std::size_t>(filters), 0);
  at(bias).quantization->scale.assign(static_cast<std::size_t>(filters), kScale * kScale / 16);
  at(bias).quantization->zero_point.assign(static_cast<std::size_t>(filters), 0);
  const TensorIndex y = tensor(name, {in[0], in[1], in[2], filters});
  tflite::Conv2DOptionsT options;
  options.stride_h = options.stride_w = 1;
  options.padding = tflite::Padding::SAME;
  op(tflite::BuiltinOperator::CONV_2D, {x, weights, bias}, {y}).builtin_options.Set(options);
  return y;
}

TensorIndex ModelBuilder::depthwise(TensorIndex x, const std::string& name) {
  const auto in = shape(x);
  const auto channels = static_cast<std::size_t>(in[3]);
  const TensorIndex weights =
      constant(name + "/kernel", tflite::TensorType::INT8, {1, 3, 3, in[3]});
  const TensorIndex bias = constant(name + "/bias", tflite::TensorType::INT32, {in[3]});
  at(weights).quantization->scale.assign(channels, kScale);
  at(weights).quantization->zero_point.assign(channels, 0);
  at(weights).quantization->quantized_dimension = 3;
  at(bias).quantization->scale.assign(channels, kScale * kScale);
  at(bias).quantization->zero_point.assign(channels, 0);
  const TensorIndex y = tensor(name, in);
  tflite::DepthwiseConv2DOptionsT options;
  options.stride_h = options.stride_w = 1;
  options.depth_multiplier = 1;
  options.padding = tflite::Padding::SAME;
  op(tflite::BuiltinOperator::DEPTHWISE_CONV_2D, {x, weights, bias}, {y})
      .builtin_options.Set(options);
  return y;
}

TensorIndex ModelBuilder::dense(TensorIndex x, const std::string& name, std::int32_t units,
                                bool has_bias) {
  const auto in = shape(x);
  const TensorIndex weights =
      constant(name + "/kernel", tflite::TensorType::INT8, {units, in.back()});
  at(weights).quantization->scale = {kScale / 16};
  std::vector<TensorIndex> inputs{x, weights, -1};
  if (has_bias) {
    inputs[2] = constant(name + "/bias", tflite::TensorType::INT32, {units});
    at(inputs[2]).quantization->scale = {kScale * kScale / 16};
  }
  const TensorIndex y = tensor(name, {in[0], units});
  op(tflite::BuiltinOperator::FULLY_CONNECTED, inputs, {y})
      .builtin_options.Set(tflite::FullyConnectedOptionsT{});
  return y;
}

TensorIndex ModelBuilder::add(TensorIndex a, TensorIndex b, const std::string& name) {
  const TensorIndex y = tensor(name, shape(a));
  op(tflite::BuiltinOperator::ADD, {a, b}, {y}).builtin_options.Set(tflite::AddOptionsT{});
  return y;
}

TensorIndex ModelBuilder::relu(TensorIndex x, const std::string& name) {
  const TensorIndex y = tensor(name, shape(x));
  op(tflite::BuiltinOperator::RELU, {x}, {y});
  return y;
}

TensorIndex ModelBuilder::concat(const std::vector<TensorIndex>& parts, const std::string& name) {
  auto out = shape(parts[0]);
  out.back() = 0;
  for (const TensorIndex part : parts) out.back() += shape(part).back();
  const TensorIndex y = tensor(name, out);
  tflite::ConcatenationOptionsT options;
  options.axis = static_cast<std::int32_t>(out.size()) - 1;
  op(tflite::BuiltinOperator::CONCATENATION, parts, {y}).builtin_options.Set(options);
  return y;
}

std::vector<TensorIndex> ModelBuilder::split(TensorIndex x, const std::string& name) {
  auto half = shape(x);
  const TensorIndex axis =
      int32_constant(name + "/axis", {static_cast<std::int32_t>(half.size()) - 1});
  at(axis).shape = {};
  half.back() /= 2;
  const std::vector<TensorIndex> parts{tensor(name + "_a", half), tensor(name + "_b", half)};
  tflite::SplitOptionsT options;
  options.num_splits = 2;
  op(tflite::BuiltinOperator::SPLIT, {axis, x}, parts).builtin_options.Set(options);
  return parts;
}

std::vector<std::byte> ModelBuilder::bytes() const {
  flatbuffers::FlatBufferBuilder builder;
  tflite::FinishModelBuffer(builder, tflite::CreateModel(builder, &model_));
  const auto* data = reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
  return {data, data + builder.GetSize()};
}

Model ModelBuilder::build(const std::string& name) const { return parse_model(bytes(), name); }

Model conv_chain(const std::vector<std::int32_t>& filters) {
  ModelBuilder b;
  TensorIndex x = b.input("x", {1, 4, 4, 4});
  for (std::size_t i = 0; i < filters.size(); ++i)
    x = b.conv(x, "conv" + std::to_string(i), filters[i]);
  b.output(x);
  return b.build("chain");
}

std::vector<OperatorId> operators(std::uint32_t first, std::uint32_t last) {
  std::vector<OperatorId> result;
  for (std::uint32_t i = first; i <= last; ++i) result.push_back(OperatorId{i});
  return result;
}

}  // namespace segue::testing
