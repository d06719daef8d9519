#include "model_builder.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <span>
#include <utility>

namespace segue::testing {
namespace {

constexpr float kScale = 1.0F / 16;

std::size_t element_bytes(tflite::TensorType type) {
  return type == tflite::TensorType::INT32 || type == tflite::TensorType::FLOAT32 ? 4 : 1;
}

std::int32_t version_of(tflite::BuiltinOperator code) {
  switch (code) {
    case tflite::BuiltinOperator::CUSTOM:
    case tflite::BuiltinOperator::RESHAPE:
    case tflite::BuiltinOperator::SHAPE:
      return 1;
    case tflite::BuiltinOperator::RELU:
      return 2;
    default:
      return 3;
  }
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
    entry->version = version_of(code);
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

void ModelBuilder::open_batch() {
  for (const auto& tensor : graph().tensors) {
    const bool is_constant = !model_.buffers[tensor->buffer]->data.empty();
    const bool is_map = tensor->type != tflite::TensorType::INT32 && !tensor->shape.empty();
    if (is_constant || !is_map) continue;
    tensor->shape_signature = tensor->shape;
    tensor->shape_signature[0] = -1;
    tensor->shape[0] = 1;
  }
}

TensorIndex ModelBuilder::flatten(TensorIndex x, const std::string& name) {
  const auto in = shape(x);
  const auto rank = static_cast<std::int32_t>(in.size());
  std::int32_t elements = 1;
  for (std::size_t i = 1; i < in.size(); ++i) elements *= in[i];
  const auto list = [&](const std::string& suffix, std::vector<std::int32_t> extents) {
    const TensorIndex y = tensor(name + suffix, std::move(extents));
    at(y).type = tflite::TensorType::INT32;
    at(y).quantization.reset();
    return y;
  };
  const TensorIndex all = list("/shape", {rank});
  tflite::ShapeOptionsT shape_options;
  shape_options.out_type = tflite::TensorType::INT32;
  op(tflite::BuiltinOperator::SHAPE, {x}, {all}).builtin_options.Set(shape_options);
  const TensorIndex batch = list("/batch", {});
  const TensorIndex zero = int32_constant(name + "/zero", {0});
  const TensorIndex one = int32_constant(name + "/one", {1});
  tflite::StridedSliceOptionsT first;
  first.shrink_axis_mask = 1;
  op(tflite::BuiltinOperator::STRIDED_SLICE, {all, zero, one, one}, {batch})
      .builtin_options.Set(first);
  const TensorIndex length = int32_constant(name + "/length", {elements});
  at(length).shape = {};
  const TensorIndex flat = list("/flat", {2});
  tflite::PackOptionsT two;
  two.values_count = 2;
  op(tflite::BuiltinOperator::PACK, {batch, length}, {flat}).builtin_options.Set(two);
  const TensorIndex y = tensor(name, {in[0], elements});
  op(tflite::BuiltinOperator::RESHAPE, {x, flat}, {y});
  return y;
}

namespace {

std::vector<std::byte> packed(const tflite::ModelT& model) {
  flatbuffers::FlatBufferBuilder builder;
  tflite::FinishModelBuffer(builder, tflite::CreateModel(builder, &model));
  const auto* data = reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
  return {data, data + builder.GetSize()};
}

}  // namespace

std::vector<std::byte> ModelBuilder::bytes() const { return packed(model_); }

std::vector<std::byte> ModelBuilder::bytes_with_weights_behind() const {
  constexpr std::size_t kAlignment = 16;
  constexpr std::uint64_t kSomewhere = 2;  // a placeholder until the flatbuffer's size is known
  tflite::ModelT model;
  tflite::GetModel(bytes().data())->UnPackTo(&model);
  std::vector<std::byte> behind;
  std::vector<std::uint64_t*> offsets;
  const auto move = [&](std::vector<std::uint8_t>& data, std::uint64_t& offset,
                        std::uint64_t& size) {
    if (data.empty()) return;
    offset = kSomewhere + behind.size();
    size = data.size();
    offsets.push_back(&offset);
    const auto contents = std::as_bytes(std::span(data));
    behind.insert(behind.end(), contents.begin(), contents.end());
    behind.resize((behind.size() + kAlignment - 1) / kAlignment * kAlignment);
    data.clear();
  };
  for (const auto& buffer : model.buffers) move(buffer->data, buffer->offset, buffer->size);
  for (const auto& op : model.subgraphs[0]->operators)
    move(op->custom_options, op->large_custom_options_offset, op->large_custom_options_size);
  const std::size_t start = (packed(model).size() + kAlignment - 1) / kAlignment * kAlignment;
  for (std::uint64_t* offset : offsets) *offset += start - kSomewhere;
  std::vector<std::byte> file = packed(model);
  file.resize(start);
  file.insert(file.end(), behind.begin(), behind.end());
  return file;
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
