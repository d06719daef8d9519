// Small .tflite models for tests, built tensor by tensor, and raw access to break them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/internal/schema.h"
#include "segue/model.h"

namespace segue::testing {

/// Position of a tensor in the model being built.
using TensorIndex = std::int32_t;

class ModelBuilder {
 public:
  ModelBuilder();

  /// An int8 activation with scale 1/16; [N, H, W, C] or [N, C].
  TensorIndex tensor(const std::string& name, std::vector<std::int32_t> shape);
  TensorIndex input(const std::string& name, std::vector<std::int32_t> shape);
  /// A constant with values that depend on its position.
  TensorIndex constant(const std::string& name, tflite::TensorType type,
                       std::vector<std::int32_t> shape);
  TensorIndex int32_constant(const std::string& name, const std::vector<std::int32_t>& values);

  TensorIndex conv(TensorIndex x, const std::string& name, std::int32_t filters,
                   std::int32_t kernel = 1);
  TensorIndex depthwise(TensorIndex x, const std::string& name);
  TensorIndex dense(TensorIndex x, const std::string& name, std::int32_t units,
                    bool has_bias = true);
  TensorIndex add(TensorIndex a, TensorIndex b, const std::string& name);
  TensorIndex relu(TensorIndex x, const std::string& name);
  TensorIndex concat(const std::vector<TensorIndex>& parts, const std::string& name);
  /// Two halves along the channels.
  std::vector<TensorIndex> split(TensorIndex x, const std::string& name);

  tflite::OperatorT& op(tflite::BuiltinOperator code, std::vector<TensorIndex> inputs,
                        std::vector<TensorIndex> outputs);
  void output(TensorIndex x) { graph().outputs.push_back(x); }

  /// For what the functions above do not offer.
  tflite::ModelT& raw() { return model_; }
  tflite::SubGraphT& graph() { return *model_.subgraphs[0]; }
  tflite::TensorT& at(TensorIndex x) { return *graph().tensors[static_cast<std::size_t>(x)]; }

  /// The first extents of inputs and computed tensors become -1 in their signatures, as in a model
  /// that was converted without a batch.
  void open_batch();
  /// SHAPE, STRIDED_SLICE, PACK and RESHAPE: how converters flatten a map of an open batch.
  TensorIndex flatten(TensorIndex x, const std::string& name);

  [[nodiscard]] std::vector<std::byte> bytes() const;
  /// The same with the contents of buffers, and the options of custom operators, behind the
  /// flatbuffer.
  [[nodiscard]] std::vector<std::byte> bytes_with_weights_behind() const;
  [[nodiscard]] Model build(const std::string& name = "model") const;

 private:
  const std::vector<std::int32_t>& shape(TensorIndex x) { return at(x).shape; }

  tflite::ModelT model_;
};

/// A chain of `lengths.size()` 1x1 convolutions on [1, 4, 4, 4] whose number of filters is given.
[[nodiscard]] Model conv_chain(const std::vector<std::int32_t>& filters);

/// The positions first .. last, both included.
[[nodiscard]] std::vector<OperatorId> operators(std::uint32_t first, std::uint32_t last);

}  // namespace segue::testing
