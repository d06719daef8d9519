// A CNN in the form that the TensorFlow converter produces: one entry per TensorFlow Lite operator,
// with batch normalization folded and activations fused wherever the converter does so.
// Architectures use this builder; calibration and serialization read its result.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "segue/model.h"

namespace segue::zoo {

enum class ValueId : std::uint32_t {};
[[nodiscard]] constexpr std::size_t index(ValueId id) { return static_cast<std::size_t>(id); }

// The last extents of [depth, height, width, channels] after a leading 1. There are `rank` extents
// in total.
struct Shape {
  std::int32_t height = 1;
  std::int32_t width = 1;
  std::int32_t channels = 1;
  std::int32_t rank = 4;
  std::int32_t depth = 1;
  [[nodiscard]] std::vector<std::int32_t> dimensions() const {
    if (rank == 1) return {1};
    if (rank == 2) return {1, channels};
    if (rank == 3) return {1, width, channels};
    if (rank == 5) return {1, depth, height, width, channels};
    return {1, height, width, channels};
  }
};

// The range of real numbers that the int8 values of a tensor represent.
struct Range {
  double low = -1.0;
  double high = 127.0 / 128.0;
};

// An operand with given values, or given weights of a convolution.
struct Constant {
  std::vector<std::int32_t> shape{};
  std::vector<float> values{};
  bool is_first = false;  // before the computed operand
  friend bool operator==(const Constant&, const Constant&) = default;
};

enum class Activation { kNone, kRelu, kRelu6 };
enum class Padding { kSame, kValid };

// The normalization after a convolution, which is folded into it. For batch normalization, Keras
// counts 4 parameters per channel, or 3 without the scale. PyTorch counts only the 2 learned ones.
enum class Norm { kNone, kBatch, kBatchWithoutScale, kTorchBatch };

// How a Keras definition numbers the channel axis. The converter keeps the number in
// concatenations. Constants of an unfolded batch normalization have rank 4 for axis 3 and rank 1
// for axis -1.
enum class ChannelAxis : std::int32_t { kThree = 3, kLast = -1 };

struct Window {
  std::int32_t height = 1;
  std::int32_t width = 1;
  std::int32_t stride = 1;
  Padding padding = Padding::kSame;
  friend bool operator==(const Window&, const Window&) = default;
};
[[nodiscard]] constexpr Window square(std::int32_t size, std::int32_t stride = 1,
                                      Padding padding = Padding::kSame) {
  return {size, size, stride, padding};
}
// The window that Keras writes if an architecture names no padding.
inline constexpr Window kPointwise = square(1, 1, Padding::kValid);

struct ConvOptions {
  Window window;
  std::int32_t filters = 0;
  bool has_bias = false;
  Norm norm = Norm::kNone;
  Activation activation = Activation::kNone;
  // If false, another layer has the same kernel and bias and counts them. If batch normalization
  // differs, the file still holds two kernels.
  bool is_counted = true;
};

struct DenseOptions {
  std::int32_t units = 0;
  bool has_bias = true;
  Activation activation = Activation::kNone;
};

struct Layer {
  OpCode code{};
  std::string
      name;  // Keras layer that holds the weights; layers of one kind and name share a kernel
  std::string output_name;  // Keras layer whose output this is
  std::vector<ValueId> inputs;
  ValueId output{};
  Activation activation = Activation::kNone;
  Window window{};
  bool has_bias = true;                   // FULLY_CONNECTED only; convolutions always carry one
  std::vector<std::int32_t> constants{};  // paddings, axes, shapes, slice bounds
  Constant constant{};
  std::vector<ValueId> more_outputs{};
  std::vector<std::uint8_t> custom_options{};
  bool has_half_pixel_centers = false;  // RESIZE_NEAREST_NEIGHBOR only
};

struct Value {
  std::string name;
  Shape shape;
  ElementType type = ElementType::kInt8;
};

// Rows or channels [begin, end) along one axis.
struct Slice {
  std::int32_t axis = 0;
  std::int32_t begin = 0;
  std::int32_t end = 0;
};

// How a converter writes the axes that a slice keeps whole: masked, with their extents, or masked
// and without a begin where the slice begins at 0.
enum class SliceBounds { kMasked, kWritten, kOpen };

class Network {
 public:
  explicit Network(std::string name, ChannelAxis axis = ChannelAxis::kThree)
      : name_(std::move(name)), channel_axis_(axis) {}

  ValueId input(Shape shape, const std::string& name, const Range& range = {},
                ElementType type = ElementType::kInt8);
  ValueId conv(ValueId x, const ConvOptions& options, const std::string& name,
               const std::string& output_name);
  ValueId depthwise(ValueId x, const ConvOptions& options, const std::string& name,
                    const std::string& output_name);
  ValueId dense(ValueId x, const DenseOptions& options, const std::string& name,
                const std::string& output_name);
  // Batch normalization that cannot be folded into an earlier operator: a MUL and an ADD with one
  // constant per channel. The activation is fused into the ADD.
  ValueId batch_norm(ValueId x, Activation activation, const std::string& name,
                     const std::string& output_name);
  ValueId pad(ValueId x, std::int32_t before, std::int32_t after, const std::string& name);
  // Appends rows and columns of zeros.
  ValueId extend(ValueId x, std::int32_t rows, std::int32_t columns, const std::string& name);
  // Drops the first row and column.
  ValueId crop_first(ValueId x, const std::string& name);
  ValueId slice(ValueId x, const Slice& slice, SliceBounds bounds, const std::string& name);
  ValueId max_pool(ValueId x, const Window& window, const std::string& name);
  ValueId average_pool(ValueId x, const Window& window, const std::string& name);
  ValueId global_average(ValueId x, bool keep_dims, const std::string& name);
  ValueId add(ValueId a, ValueId b, Activation activation, const std::string& name);
  ValueId concat(const std::vector<ValueId>& parts, const std::string& name);
  // Concatenates along an axis other than the channels, or along the channels with another axis
  // number.
  ValueId concat(const std::vector<ValueId>& parts, std::int32_t axis, const std::string& name);
  // A convolution with one filter, given weights and no bias.
  ValueId weighted_sum(ValueId x, const std::vector<float>& weights, const std::string& name);
  // ADD, MUL or SUB of two tensors, of which the smaller one is repeated, or of a tensor and a
  // constant.
  ValueId binary(OpCode code, ValueId a, ValueId b, const std::string& name);
  ValueId binary(OpCode code, ValueId x, Constant constant, const std::string& name);
  // RELU, TANH, LOGISTIC or HARD_SWISH.
  ValueId unary(OpCode code, ValueId x, const std::string& name);
  ValueId relu(ValueId x, const std::string& name) { return unary(OpCode::kRelu, x, name); }
  ValueId tanh(ValueId x, const std::string& name) { return unary(OpCode::kTanh, x, name); }
  // x * sigmoid(x), as two operators.
  ValueId silu(ValueId x, const std::string& name);
  ValueId quantize(ValueId x, const std::string& name, ElementType type = ElementType::kInt8);
  ValueId dequantize(ValueId x, const std::string& name);
  ValueId resize_nearest(ValueId x, std::int32_t height, std::int32_t width,
                         bool half_pixel_centers, const std::string& name);
  // Stacks the tensor with itself along a new axis.
  ValueId pack_twice(ValueId x, std::int32_t axis, const std::string& name);
  // `written`: the shape that the file states; empty: the same as `shape`.
  ValueId reshape(ValueId x, const Shape& shape, const std::string& name,
                  std::vector<std::int32_t> written = {});
  ValueId transpose(ValueId x, const std::vector<std::int32_t>& order, const std::string& name);
  // The custom operator of detectors. Its four outputs become the outputs of the network.
  void detect(ValueId boxes, ValueId scores, const std::vector<float>& anchors,
              std::vector<std::uint8_t> options, std::int32_t detections);
  ValueId to_vector(ValueId x, const std::string& name);
  ValueId softmax(ValueId x, const std::string& name);

  // Returns "conv2d", "conv2d_1", …: the names that Keras gives to unnamed layers in a new session.
  std::string auto_name(const std::string& kind);

  void set_output(ValueId x) { outputs_ = {x}; }
  // Call it if the builder adds the operators in the order of the exporter's file.
  void keep_order() { keeps_order_ = true; }
  [[nodiscard]] bool keeps_order() const { return keeps_order_; }
  // Makes all biases zero, as in networks that were never trained.
  void leave_biases_zero() { has_zero_biases_ = true; }
  [[nodiscard]] bool has_zero_biases() const { return has_zero_biases_; }
  // Quantizes dense layers with one scale, as converters before TensorFlow 2.17. Later ones use one
  // scale per output.
  void use_one_scale_per_dense_layer() { has_one_dense_scale_ = true; }
  [[nodiscard]] bool has_one_dense_scale() const { return has_one_dense_scale_; }
  // Replaces the layers by others with the same input and output, in a new order or fewer. Values
  // that none of them writes are dropped.
  void replace_layers(std::vector<Layer> layers);
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] ChannelAxis channel_axis() const { return channel_axis_; }
  [[nodiscard]] const std::vector<Layer>& layers() const { return layers_; }
  [[nodiscard]] const std::vector<Value>& values() const { return values_; }
  [[nodiscard]] const Shape& shape(ValueId x) const { return values_[index(x)].shape; }
  [[nodiscard]] const std::vector<ValueId>& outputs() const { return outputs_; }
  [[nodiscard]] const Range& input_range() const { return input_range_; }
  // Returns the result of Keras' count_params(), which includes statistics of batch normalization,
  // or the learned parameters for networks of PyTorch.
  [[nodiscard]] std::uint64_t keras_parameters() const { return keras_parameters_; }

 private:
  ValueId append(Layer layer, const Shape& shape);
  ValueId append(Layer layer, const Shape& shape, ElementType type);
  void count_convolution(std::int64_t weights, const ConvOptions& options, std::int32_t channels);

  std::string name_;
  ChannelAxis channel_axis_;
  std::vector<Layer> layers_;
  std::vector<Value> values_;
  std::vector<ValueId> outputs_;
  Range input_range_;
  std::uint64_t keras_parameters_ = 0;
  bool has_zero_biases_ = false;
  bool has_one_dense_scale_ = false;
  bool keeps_order_ = false;
  std::unordered_map<std::string, int> auto_names_;
};

// Returns the extent of a window's output along one axis, as TensorFlow defines SAME and VALID.
[[nodiscard]] std::int32_t output_extent(std::int32_t input, std::int32_t window,
                                         std::int32_t stride, Padding padding);

}  // namespace segue::zoo
