#include "runtime/tflite/probe_models.h"

#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>

#include "model/internal/schema.h"

namespace segue {
namespace {

// A model of int8 tensors and operators of one kind.
class ProbeModel {
 public:
  ProbeModel(tflite::BuiltinOperator code, std::int32_t version) {
    model_.version = 3;
    model_.buffers.push_back(std::make_unique<tflite::BufferT>());
    auto operator_code = std::make_unique<tflite::OperatorCodeT>();
    operator_code->builtin_code = code;
    operator_code->deprecated_builtin_code = static_cast<std::int8_t>(code);
    operator_code->version = version;
    model_.operator_codes.push_back(std::move(operator_code));
    model_.subgraphs.push_back(std::make_unique<tflite::SubGraphT>());
  }

  std::int32_t tensor(std::vector<std::int32_t> shape, std::vector<float> scales,
                      const std::vector<std::int8_t>& values = {}) {
    auto tensor = std::make_unique<tflite::TensorT>();
    tensor->type = tflite::TensorType::INT8;
    tensor->shape = std::move(shape);
    tensor->quantization = std::make_unique<tflite::QuantizationParametersT>();
    tensor->quantization->zero_point.assign(scales.size(), 0);
    tensor->quantization->scale = std::move(scales);
    if (!values.empty()) {
      tensor->buffer = static_cast<std::uint32_t>(model_.buffers.size());
      auto buffer = std::make_unique<tflite::BufferT>();
      buffer->data.resize(values.size());
      std::memcpy(buffer->data.data(), values.data(), values.size());
      model_.buffers.push_back(std::move(buffer));
    }
    graph().tensors.push_back(std::move(tensor));
    return static_cast<std::int32_t>(graph().tensors.size()) - 1;
  }

  template <typename Options>
  void op(std::vector<std::int32_t> inputs, std::int32_t output, Options options) {
    auto op = std::make_unique<tflite::OperatorT>();
    op->inputs = std::move(inputs);
    op->outputs = {output};
    op->builtin_options.Set(std::move(options));
    graph().operators.push_back(std::move(op));
  }

  std::vector<std::byte> bytes(std::int32_t input, std::int32_t output) {
    graph().inputs = {input};
    graph().outputs = {output};
    flatbuffers::FlatBufferBuilder builder;
    tflite::FinishModelBuffer(builder, tflite::Model::Pack(builder, &model_));
    const auto* begin = reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
    return {begin, begin + builder.GetSize()};
  }

 private:
  tflite::SubGraphT& graph() { return *model_.subgraphs[0]; }
  tflite::ModelT model_;
};

}  // namespace

std::vector<std::byte> dense_with_scale_per_output() {
  ProbeModel model(tflite::BuiltinOperator::FULLY_CONNECTED, 4);
  const auto input = model.tensor({1, 2}, {1.0F});
  const auto weights = model.tensor({2, 2}, {1.0F, 0.5F}, {1, 1, 2, 4});
  const auto output = model.tensor({1, 2}, {1.0F});
  model.op({input, weights, -1}, output, tflite::FullyConnectedOptionsT{});
  return model.bytes(input, output);
}

std::vector<std::byte> int8_additions(std::size_t count) {
  ProbeModel model(tflite::BuiltinOperator::ADD, 2);
  const auto input = model.tensor({1, 8}, {1.0F});
  std::int32_t last = input;
  for (std::size_t i = 0; i < count; ++i) {
    const auto sum = model.tensor({1, 8}, {1.0F});
    model.op({last, last}, sum, tflite::AddOptionsT{});
    last = sum;
  }
  return model.bytes(input, last);
}

}  // namespace segue
