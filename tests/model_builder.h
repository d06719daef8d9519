// Builds small .tflite models for tests, tensor by tensor, with raw access to damage them.
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

  /// Adds an int8 activation [N, H, W, C] or [N, C] with scale 1/16.
  TensorIndex tensor(const std::string& name, std::vector<std::int32_t> shape);
  TensorIndex input(const std::string& name, std::vector<std::int32_t> shape);
  /// Adds a constant with values that depend on its position.
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
  /// Splits a tensor into two halves along the channels.
  std::vector<TensorIndex> split(TensorIndex x, const std::string& name);

  tflite::OperatorT& op(tflite::BuiltinOperator code, std::vector<TensorIndex> inputs,
                        std::vector<TensorIndex> outputs);
  void output(TensorIndex x) { graph().outputs.push_back(x); }

  /// Gives raw access for everything that the functions above do not offer.
  tflite::ModelT& raw() { return model_; }
  tflite::SubGraphT& graph() { return *model_.subgraphs[0]; }
  tflite::TensorT& at(TensorIndex x) { return *graph().tensors[static_cast<std::size_t>(x)]; }

  /// Sets the first extents of inputs and computed tensors to -1 in their signatures, as in a model
  /// that was converted without a batch size.
  void open_batch();
  /// Flattens a map of an open batch as converters do, with SHAPE, STRIDED_SLICE, PACK and RESHAPE.
  TensorIndex flatten(TensorIndex x, const std::string& name);

  [[nodiscard]] std::vector<std::byte> bytes() const;
  /// Returns the file with the contents of buffers and the options of custom operators after the
  /// flatbuffer.
  [[nodiscard]] std::vector<std::byte> bytes_with_weights_behind() const;
  [[nodiscard]] Model build(const std::string& name = "model") const;

 private:
  const std::vector<std::int32_t>& shape(TensorIndex x) { return at(x).shape; }

  tflite::ModelT model_;
};

/// Makes a chain of 1x1 convolutions on [1, 4, 4, 4] with these numbers of filters.
[[nodiscard]] Model conv_chain(const std::vector<std::int32_t>& filters);

/// Returns the positions from `first` to `last`, both included.
[[nodiscard]] std::vector<OperatorId> operators(std::uint32_t first, std::uint32_t last);

}  // namespace segue::testing
