#include <algorithm>

#include "model/internal/operator_kinds.h"
#include "model/model_state.h"

namespace segue {
namespace {

std::uint32_t at_least_one(std::int32_t value) {
  return static_cast<std::uint32_t>(std::max(value, 1));
}

std::uint32_t window_extent(const Tensor& tensor, std::size_t dimension) {
  return dimension < tensor.shape.size() ? at_least_one(tensor.shape[dimension]) : 1;
}

template <typename Options>
OperatorWindow strides_of(const Options* options) {
  if (options == nullptr) return {};
  return {.stride_high = at_least_one(options->stride_h()),
          .stride_wide = at_least_one(options->stride_w())};
}

OperatorWindow pooling(const tflite::Pool2DOptions* options) {
  OperatorWindow window = strides_of(options);
  if (options == nullptr) return window;
  window.height = at_least_one(options->filter_height());
  window.width = at_least_one(options->filter_width());
  return window;
}

}  // namespace

OperatorWindow Model::window(OperatorId id) const {
  const auto& source =
      *state_->subgraph->operators()->Get(static_cast<flatbuffers::uoffset_t>(index(id)));
  const Operator& operation = op(id);
  const Loop loop = kind_of(operation.code).loop;
  if (loop == Loop::kPool) return pooling(source.builtin_options_as_Pool2DOptions());
  if (!has_window_of_weights(loop)) return {};
  OperatorWindow window =
      loop == Loop::kConvolution ? strides_of(source.builtin_options_as_Conv2DOptions())
      : loop == Loop::kDepthwise ? strides_of(source.builtin_options_as_DepthwiseConv2DOptions())
                                 : strides_of(source.builtin_options_as_TransposeConvOptions());
  // Weights are [Co, kh, kw, Ci], or [1, kh, kw, C] for DEPTHWISE_CONV_2D.
  if (operation.inputs.size() > 1 && operation.inputs[1] >= 0) {
    const Tensor& weights = tensor(tensor_id(operation.inputs[1]));
    window.height = window_extent(weights, 1);
    window.width = window_extent(weights, 2);
  }
  return window;
}

}  // namespace segue
