// A CNN as the TensorFlow converter leaves it: one entry per TensorFlow Lite operator, batch
// normalization folded where the converter folds it, activations fused where it fuses them.
// Architectures are written against this builder; calibration and serialization read it.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "segue/model.h"

namespace segue::zoo {

enum class ValueId : std::uint32_t {};
[[nodiscard]] constexpr std::size_t index(ValueId id) { return static_cast<std::size_t>(id); }

// [1, height, width, channels]; vectors have rank 2: [1, channels].
struct Shape {
  std::int32_t height = 1;
  std::int32_t width = 1;
  std::int32_t channels = 1;
  bool is_vector = false;
  [[nodiscard]] std::vector<std::int32_t> dimensions() const {
    return is_vector ? std::vector{1, channels} : std::vector{1, height, width, channels};
  }
};

enum class Activation { kNone, kRelu, kRelu6 };
enum class Padding { kSame, kValid };

// What follows a convolution and is folded into it. Keras counts 4 parameters per channel for batch
// normalization, 3 without the scale.
enum class Norm { kNone, kBatch, kBatchWithoutScale };

// How a Keras definition names the channels. The converter keeps the number in concatenations;
// constants of an unfolded batch normalization have rank 4 for axis 3 and rank 1 for axis -1.
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
// What Keras writes where an architecture names no padding.
inline constexpr Window kPointwise = square(1, 1, Padding::kValid);

struct ConvOptions {
  Window window;
  std::int32_t filters = 0;
  bool has_bias = false;
  Norm norm = Norm::kNone;
  Activation activation = Activation::kNone;
};

struct DenseOptions {
  std::int32_t units = 0;
  bool has_bias = true;
  Activation activation = Activation::kNone;
};

struct Layer {
  OpCode code{};
  std::string name;         // Keras layer that holds the weights
  std::string output_name;  // Keras layer whose output this is
  std::vector<ValueId> inputs;
  ValueId output{};
  Activation activation = Activation::kNone;
  Window window{};
  bool has_bias = true;                   // FULLY_CONNECTED only; convolutions always carry one
  std::vector<std::int32_t> constants{};  // paddings, axes, shapes, slice bounds
};

struct Value {
  std::string name;
  Shape shape;
};

class Network {
 public:
  explicit Network(std::string name, ChannelAxis axis = ChannelAxis::kThree)
      : name_(std::move(name)), channel_axis_(axis) {}

  ValueId input(Shape shape, const std::string& name);
  ValueId conv(ValueId x, const ConvOptions& options, const std::string& name,
               const std::string& output_name);
  ValueId depthwise(ValueId x, const ConvOptions& options, const std::string& name,
                    const std::string& output_name);
  ValueId dense(ValueId x, const DenseOptions& options, const std::string& name,
                const std::string& output_name);
  // Batch normalization that nothing before it can absorb: a MUL and an ADD with one constant per
  // channel; the activation is fused into the ADD.
  ValueId batch_norm(ValueId x, Activation activation, const std::string& name,
                     const std::string& output_name);
  ValueId pad(ValueId x, std::int32_t before, std::int32_t after, const std::string& name);
  // Appends rows and columns of zeros.
  ValueId extend(ValueId x, std::int32_t rows, std::int32_t columns, const std::string& name);
  // Drops the first row and column.
  ValueId crop_first(ValueId x, const std::string& name);
  ValueId max_pool(ValueId x, const Window& window, const std::string& name);
  ValueId average_pool(ValueId x, const Window& window, const std::string& name);
  ValueId global_average(ValueId x, bool keep_dims, const std::string& name);
  ValueId add(ValueId a, ValueId b, Activation activation, const std::string& name);
  ValueId concat(const std::vector<ValueId>& parts, const std::string& name);
  ValueId relu(ValueId x, const std::string& name);
  ValueId tanh(ValueId x, const std::string& name);
  ValueId to_vector(ValueId x, const std::string& name);
  ValueId softmax(ValueId x, const std::string& name);

  // "conv2d", "conv2d_1", …: the names Keras gives to layers that have none, in a fresh session.
  std::string auto_name(const std::string& kind);

  void set_output(ValueId x) { output_ = x; }
  // As in networks that were never trained.
  void leave_biases_zero() { has_zero_biases_ = true; }
  [[nodiscard]] bool has_zero_biases() const { return has_zero_biases_; }
  // As converters before TensorFlow 2.17 quantized dense layers; since then, a scale per output.
  void use_one_scale_per_dense_layer() { has_one_dense_scale_ = true; }
  [[nodiscard]] bool has_one_dense_scale() const { return has_one_dense_scale_; }
  // Layers in a new order, or fewer of them, of the same input and output; values that none of them
  // writes are dropped.
  void replace_layers(std::vector<Layer> layers);
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] ChannelAxis channel_axis() const { return channel_axis_; }
  [[nodiscard]] const std::vector<Layer>& layers() const { return layers_; }
  [[nodiscard]] const std::vector<Value>& values() const { return values_; }
  [[nodiscard]] const Shape& shape(ValueId x) const { return values_[index(x)].shape; }
  [[nodiscard]] ValueId output() const { return output_; }
  // What Keras' count_params() gives, statistics of batch normalization included.
  [[nodiscard]] std::uint64_t keras_parameters() const { return keras_parameters_; }

 private:
  ValueId append(Layer layer, const Shape& shape);
  void count_convolution(std::int64_t weights, const ConvOptions& options, std::int32_t channels);

  std::string name_;
  ChannelAxis channel_axis_;
  std::vector<Layer> layers_;
  std::vector<Value> values_;
  ValueId output_{};
  std::uint64_t keras_parameters_ = 0;
  bool has_zero_biases_ = false;
  bool has_one_dense_scale_ = false;
  std::unordered_map<std::string, int> auto_names_;
};

// Extent of a window's output along one axis, as TensorFlow defines SAME and VALID.
[[nodiscard]] std::int32_t output_extent(std::int32_t input, std::int32_t window,
                                         std::int32_t stride, Padding padding);

}  // namespace segue::zoo
