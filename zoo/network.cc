#include "zoo/network.h"

#include <algorithm>
#include <utility>

namespace segue::zoo {
namespace {

Shape window_output(const Shape& input, const Window& window, std::int32_t channels) {
  return {output_extent(input.height, window.height, window.stride, window.padding),
          output_extent(input.width, window.width, window.stride, window.padding), channels};
}

std::int32_t batch_norm_parameters(Norm norm) {
  switch (norm) {
    case Norm::kNone:
      return 0;
    case Norm::kBatch:
      return 4;
    case Norm::kBatchWithoutScale:
      return 3;
    case Norm::kTorchBatch:
      return 2;
  }
  return 0;
}

}  // namespace

std::int32_t output_extent(std::int32_t input, std::int32_t window, std::int32_t stride,
                           Padding padding) {
  const std::int32_t reach = padding == Padding::kSame ? input : input - window + 1;
  return (reach + stride - 1) / stride;
}

ValueId Network::append(Layer layer, const Shape& shape) {
  return append(std::move(layer), shape, ElementType::kInt8);
}

ValueId Network::append(Layer layer, const Shape& shape, ElementType type) {
  const ValueId output{static_cast<std::uint32_t>(values_.size())};
  values_.push_back({layer.output_name, shape, type});
  layer.output = output;
  layers_.push_back(std::move(layer));
  return output;
}

void Network::count_convolution(std::int64_t weights, const ConvOptions& options,
                                std::int32_t channels) {
  std::int64_t per_channel = batch_norm_parameters(options.norm);
  if (options.is_counted && options.has_bias) ++per_channel;
  const std::int64_t kernel = options.is_counted ? weights : 0;
  keras_parameters_ += static_cast<std::uint64_t>(kernel + per_channel * channels);
}

ValueId Network::input(Shape shape, const std::string& name, const Range& range, ElementType type) {
  input_range_ = range;
  values_.push_back({name, shape, type});
  return ValueId{static_cast<std::uint32_t>(values_.size() - 1)};
}

ValueId Network::conv(ValueId x, const ConvOptions& options, const std::string& name,
                      const std::string& output_name) {
  const Shape in = shape(x);
  count_convolution(
      std::int64_t{options.window.height} * options.window.width * in.channels * options.filters,
      options, options.filters);
  return append({.code = OpCode::kConv2D,
                 .name = name,
                 .output_name = output_name,
                 .inputs = {x},
                 .activation = options.activation,
                 .window = options.window},
                window_output(in, options.window, options.filters));
}

ValueId Network::depthwise(ValueId x, const ConvOptions& options, const std::string& name,
                           const std::string& output_name) {
  const Shape in = shape(x);
  count_convolution(std::int64_t{options.window.height} * options.window.width * in.channels,
                    options, in.channels);
  return append({.code = OpCode::kDepthwiseConv2D,
                 .name = name,
                 .output_name = output_name,
                 .inputs = {x},
                 .activation = options.activation,
                 .window = options.window},
                window_output(in, options.window, in.channels));
}

ValueId Network::dense(ValueId x, const DenseOptions& options, const std::string& name,
                       const std::string& output_name) {
  const std::int64_t inputs = shape(x).channels;
  // Keras counts a bias even if it is all zeros and the converter drops it.
  keras_parameters_ += static_cast<std::uint64_t>((inputs + 1) * options.units);
  return append({.code = OpCode::kFullyConnected,
                 .name = name,
                 .output_name = output_name,
                 .inputs = {x},
                 .activation = options.activation,
                 .has_bias = options.has_bias},
                {.channels = options.units, .rank = 2});
}

ValueId Network::batch_norm(ValueId x, Activation activation, const std::string& name,
                            const std::string& output_name) {
  const Shape in = shape(x);
  keras_parameters_ += 4U * static_cast<std::uint64_t>(in.channels);
  const ValueId scaled =
      append({.code = OpCode::kMul, .name = name, .output_name = name + "/mul", .inputs = {x}}, in);
  return append({.code = OpCode::kAdd,
                 .name = name,
                 .output_name = output_name,
                 .inputs = {scaled},
                 .activation = activation},
                in);
}

ValueId Network::pad(ValueId x, std::int32_t before, std::int32_t after, const std::string& name) {
  Shape out = shape(x);
  out.height += before + after;
  out.width += before + after;
  return append({.code = OpCode::kPad,
                 .name = name,
                 .output_name = name,
                 .inputs = {x},
                 .constants = {0, 0, before, after, before, after, 0, 0}},
                out);
}

ValueId Network::extend(ValueId x, std::int32_t rows, std::int32_t columns,
                        const std::string& name) {
  Shape out = shape(x);
  out.height += rows;
  out.width += columns;
  return append({.code = OpCode::kPad,
                 .name = name,
                 .output_name = name,
                 .inputs = {x},
                 .constants = {0, 0, 0, rows, 0, columns, 0, 0}},
                out);
}

ValueId Network::crop_first(ValueId x, const std::string& name) {
  Shape out = shape(x);
  --out.height;
  --out.width;
  constexpr std::int32_t kAllButRowsAndColumns = 0b1001;
  constexpr std::int32_t kAll = 0b1111;
  return append({.code = OpCode::kStridedSlice,
                 .name = name,
                 .output_name = name,
                 .inputs = {x},
                 .constants = {0, 1, 1, 0, 0, 0, 0, 0, kAllButRowsAndColumns, kAll}},
                out);
}

ValueId Network::max_pool(ValueId x, const Window& window, const std::string& name) {
  return append({.code = OpCode::kMaxPool2D,
                 .name = name,
                 .output_name = name,
                 .inputs = {x},
                 .window = window},
                window_output(shape(x), window, shape(x).channels));
}

ValueId Network::average_pool(ValueId x, const Window& window, const std::string& name) {
  return append({.code = OpCode::kAveragePool2D,
                 .name = name,
                 .output_name = name,
                 .inputs = {x},
                 .window = window},
                window_output(shape(x), window, shape(x).channels));
}

ValueId Network::global_average(ValueId x, bool keep_dims, const std::string& name) {
  return append({.code = OpCode::kMean,
                 .name = name,
                 .output_name = name,
                 .inputs = {x},
                 .constants = {1, 2}},
                {.channels = shape(x).channels, .rank = keep_dims ? 4 : 2});
}

ValueId Network::add(ValueId a, ValueId b, Activation activation, const std::string& name) {
  return append({.code = OpCode::kAdd,
                 .name = name,
                 .output_name = name,
                 .inputs = {a, b},
                 .activation = activation},
                shape(a));
}

ValueId Network::concat(const std::vector<ValueId>& parts, const std::string& name) {
  Shape out = shape(parts.front());
  out.channels = 0;
  for (const ValueId part : parts) out.channels += shape(part).channels;
  return append(
      {.code = OpCode::kConcatenation, .name = name, .output_name = name, .inputs = parts}, out);
}

ValueId Network::unary(OpCode code, ValueId x, const std::string& name) {
  return append({.code = code, .name = name, .output_name = name, .inputs = {x}}, shape(x));
}

ValueId Network::to_vector(ValueId x, const std::string& name) {
  const Shape in = shape(x);
  const std::int32_t elements = in.height * in.width * in.channels;
  return append({.code = OpCode::kReshape,
                 .name = name,
                 .output_name = name,
                 .inputs = {x},
                 .constants = {1, elements}},
                {.channels = elements, .rank = 2});
}

ValueId Network::softmax(ValueId x, const std::string& name) {
  return append({.code = OpCode::kSoftmax, .name = name, .output_name = name, .inputs = {x}},
                shape(x));
}

void Network::replace_layers(std::vector<Layer> layers) {
  std::vector<Value> values{values_[0]};
  std::vector<ValueId> renumbered(values_.size());
  const auto keep = [&](ValueId& value, const std::string& name) {
    values.push_back({name, shape(value), values_[index(value)].type});
    const ValueId kept{static_cast<std::uint32_t>(values.size() - 1)};
    renumbered[index(value)] = kept;
    value = kept;
  };
  for (Layer& layer : layers) {
    for (ValueId& input : layer.inputs) input = renumbered[index(input)];
    keep(layer.output, layer.output_name);
    for (ValueId& output : layer.more_outputs) keep(output, values_[index(output)].name);
  }
  for (ValueId& output : outputs_) output = renumbered[index(output)];
  layers_ = std::move(layers);
  values_ = std::move(values);
}

std::string Network::auto_name(const std::string& kind) {
  const int number = auto_names_[kind]++;
  return number == 0 ? kind : kind + "_" + std::to_string(number);
}

}  // namespace segue::zoo
