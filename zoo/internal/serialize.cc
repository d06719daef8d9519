#include "zoo/internal/serialize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "model/internal/schema.h"
#include "zoo/calibrate.h"
#include "zoo/moments.h"
#include "zoo/operator_options.h"
#include "zoo/random.h"

namespace segue::zoo {
namespace {

namespace fb = flatbuffers;

class Serializer {
 public:
  explicit Serializer(const Network& network)
      : network_(network), calibration_(calibrate(network)), builder_(weight_bytes(network)) {}

  std::vector<std::byte> run() {
    builder_.ForceDefaults(false);
    buffers_.push_back(tflite::CreateBuffer(builder_));
    tensor_of_.resize(network_.values().size());
    add_value(ValueId{0});
    for (std::size_t i = 0; i < network_.layers().size(); ++i) add_layer(i);
    finish();
    const auto* bytes = reinterpret_cast<const std::byte*>(builder_.GetBufferPointer());
    return {bytes, bytes + builder_.GetSize()};
  }

 private:
  using Vector = fb::Offset<fb::Vector<std::uint8_t>>;
  struct TensorSpec {
    std::string name;
    std::vector<std::int32_t> shape{};
    tflite::TensorType type = tflite::TensorType::INT8;
    std::vector<float> scales{};
    std::vector<std::int64_t> zero_points{};
    std::int32_t dimension = 0;
  };

  // Returns the space for all weights, so that the builder never moves them.
  static std::size_t weight_bytes(const Network& network) {
    constexpr std::size_t kTables = std::size_t{4} << 20U;
    return network.keras_parameters() * 5 / 4 + kTables;
  }

  static std::string parameter_name(const Layer& layer, const char* what) {
    return layer.name + "/" + what;
  }
  [[nodiscard]] Random random(const std::string& tensor) const {
    return Random(network_.name() + "/" + tensor);
  }
  [[nodiscard]] const Affine& affine(ValueId value) const {
    return calibration_.values[index(value)];
  }

  struct Kernel {
    std::int32_t tensor = 0;
    TensorSpec spec;
  };

  std::int32_t add_tensor(const TensorSpec& spec, std::uint32_t buffer) {
    const auto scales = builder_.CreateVector(spec.scales);
    const auto zero_points = builder_.CreateVector(spec.zero_points);
    const auto quantization = spec.scales.empty()
                                  ? fb::Offset<tflite::QuantizationParameters>()
                                  : tflite::CreateQuantizationParameters(
                                        builder_, 0, 0, scales, zero_points,
                                        tflite::QuantizationDetails::NONE, 0, spec.dimension);
    const auto shape = builder_.CreateVector(spec.shape);
    const auto name = builder_.CreateString(spec.name);
    tensors_.push_back(
        tflite::CreateTensor(builder_, shape, spec.type, buffer, name, quantization));
    return static_cast<std::int32_t>(tensors_.size() - 1);
  }

  std::int32_t add_value(ValueId value) {
    const Value& source = network_.values()[index(value)];
    TensorSpec spec{.name = source.name,
                    .shape = source.shape.dimensions(),
                    .type = static_cast<tflite::TensorType>(source.type)};
    if (source.type != ElementType::kFloat32) {
      spec.scales = {affine(value).scale};
      spec.zero_points = {affine(value).zero_point};
    }
    const std::int32_t tensor = add_tensor(spec, 0);
    tensor_of_[index(value)] = tensor;
    return tensor;
  }

  // The caller must fill the bytes of the vector before anything else is built.
  std::span<std::uint8_t> new_buffer(std::size_t bytes) {
    constexpr std::size_t kAlignment = 16;
    std::uint8_t* data = nullptr;
    builder_.ForceVectorAlignment(bytes, 1, kAlignment);
    pending_ = builder_.CreateUninitializedVector(bytes, 1, &data);
    return {data, bytes};
  }

  std::uint32_t finish_buffer() {
    buffers_.push_back(tflite::CreateBuffer(builder_, Vector(pending_)));
    return static_cast<std::uint32_t>(buffers_.size() - 1);
  }

  template <typename T>
  std::uint32_t constant_buffer(const std::vector<T>& values) {
    const auto bytes = std::as_bytes(std::span(values));
    const auto target = new_buffer(bytes.size());
    std::ranges::transform(bytes, target.begin(),
                           [](std::byte b) { return static_cast<std::uint8_t>(b); });
    return finish_buffer();
  }

  std::int32_t add_int32(const std::string& name, const std::vector<std::int32_t>& shape,
                         const std::vector<std::int32_t>& values) {
    return add_tensor({.name = name, .shape = shape, .type = tflite::TensorType::INT32},
                      constant_buffer(values));
  }

  // Adds weights with their per-channel scales, and the bias in units of input scale times weight
  // scale.
  std::vector<std::int32_t> add_weights(const Layer& layer, std::size_t position) {
    const Shape& in = network_.shape(layer.inputs[0]);
    const Shape& out = network_.shape(layer.output);
    const bool is_dense = layer.code == OpCode::kFullyConnected;
    const bool is_depthwise = layer.code == OpCode::kDepthwiseConv2D;
    TensorSpec kernel{.name = parameter_name(layer, is_depthwise ? "depthwise_kernel" : "kernel")};
    if (is_dense) {
      kernel.shape = {out.channels, in.channels};
    } else if (is_depthwise) {
      kernel.shape = {1, layer.window.height, layer.window.width, out.channels};
      kernel.dimension = 3;
    } else {
      kernel.shape = {out.channels, layer.window.height, layer.window.width, in.channels};
    }
    const auto [known, is_new] = kernels_.try_emplace(kernel.name);
    Kernel& shared = known->second;
    if (!is_new) return {shared.tensor, add_bias(layer, layer.output_name + "/bias", shared.spec)};
    const double spread = calibration_.weight_spread[position];
    Random gains = random(kernel.name + "/gain");
    const std::int32_t scales = is_dense && network_.has_one_dense_scale() ? 1 : out.channels;
    for (std::int32_t c = 0; c < scales; ++c) {
      const double gain = gains.uniform(kSmallestGain, kLargestGain);
      kernel.scales.push_back(static_cast<float>(gain * spread / weight_deviation()));
    }
    kernel.zero_points.assign(kernel.scales.size(), 0);
    std::size_t elements = 1;
    for (const std::int32_t extent : kernel.shape) elements *= static_cast<std::size_t>(extent);
    fill_weights(new_buffer(elements), random(kernel.name));
    shared = {add_tensor(kernel, finish_buffer()), kernel};
    const bool has_none = is_dense && !layer.has_bias;
    return {shared.tensor, has_none ? -1 : add_bias(layer, parameter_name(layer, "bias"), kernel)};
  }

  std::int32_t add_bias(const Layer& layer, const std::string& name, const TensorSpec& kernel) {
    const std::int32_t channels = network_.shape(layer.output).channels;
    TensorSpec bias{.name = name, .shape = {channels}, .type = tflite::TensorType::INT32};
    bias.zero_points = kernel.zero_points;
    const float input_scale = affine(layer.inputs[0]).scale;
    for (const float scale : kernel.scales) bias.scales.push_back(input_scale * scale);
    Random values = random(bias.name);
    // The scale of the output gives its spread, for every activation function.
    const double largest = kBiasShare * static_cast<double>(affine(layer.output).scale) * 64.0;
    std::vector<std::int32_t> data(static_cast<std::size_t>(channels));
    for (std::size_t c = 0; c < data.size() && !network_.has_zero_biases(); ++c) {
      const float scale = bias.scales[c];
      data[c] = static_cast<std::int32_t>(
          std::lround(values.uniform(-largest, largest) / static_cast<double>(scale)));
    }
    return add_tensor(bias, constant_buffer(data));
  }

  // Adds one int8 constant per channel, in [center - reach, center + reach].
  std::int32_t add_channel_constant(const Layer& layer, const char* what, double center,
                                    double reach) {
    constexpr double kLargest = 127.0;
    const std::int32_t channels = network_.shape(layer.output).channels;
    TensorSpec spec{.name = parameter_name(layer, what), .shape = {1, 1, 1, channels}};
    if (network_.channel_axis() == ChannelAxis::kLast) spec.shape = {channels};
    const auto scale = static_cast<float>((std::abs(center) + reach) / kLargest);
    spec.scales = {scale};
    spec.zero_points = {0};
    Random values = random(spec.name);
    std::vector<std::int8_t> data;
    for (std::int32_t c = 0; c < channels; ++c) {
      const double value =
          values.uniform(center - reach, center + reach) / static_cast<double>(scale);
      data.push_back(static_cast<std::int8_t>(std::clamp(std::lround(value), -127L, 127L)));
    }
    return add_tensor(spec, constant_buffer(data));
  }

  // Adds given values, as int8 unless a custom operator reads them. The zero point is 0 as for
  // weights, even if all values are equal or have the same sign.
  std::int32_t add_given_constant(const Layer& layer, const char* what) {
    const Constant& constant = layer.constant;
    TensorSpec spec{.name = parameter_name(layer, what), .shape = constant.shape};
    if (layer.code == OpCode::kCustom) {
      spec.type = tflite::TensorType::FLOAT32;
      return add_tensor(spec, constant_buffer(constant.values));
    }
    constexpr float kLargest = 127.0F;
    const Range extremes = extremes_of(constant.values);
    const auto largest = static_cast<float>(std::max(extremes.high, -extremes.low));
    spec.scales = {largest / kLargest};
    spec.zero_points = {0};
    std::vector<std::int8_t> data;
    for (const float value : constant.values)
      data.push_back(static_cast<std::int8_t>(std::lround(value / spec.scales[0])));
    return add_tensor(spec, constant_buffer(data));
  }

  // Adds the weights of one filter, which the architecture fixes, and the zero bias that converters
  // add.
  std::vector<std::int32_t> add_given_weights(const Layer& layer) {
    const std::int32_t weights = add_given_constant(layer, "kernel");
    const TensorSpec bias{
        .name = parameter_name(layer, "bias"),
        .shape = {1},
        .type = tflite::TensorType::INT32,
        .scales = {affine(layer.inputs[0]).scale *
                   static_cast<float>(extremes_of(layer.constant.values).high) / 127.0F},
        .zero_points = {0}};
    return {weights, add_tensor(bias, constant_buffer(std::vector<std::int32_t>{0}))};
  }

  std::int32_t add_strides(const Layer& layer) {
    const std::int32_t rank = network_.shape(layer.output).rank;
    return add_int32(parameter_name(layer, "strides"), {rank},
                     std::vector<std::int32_t>(static_cast<std::size_t>(rank), 1));
  }

  std::int32_t add_slice_bound(const Layer& layer, const char* what, std::size_t part) {
    const auto rank = static_cast<std::size_t>(network_.shape(layer.output).rank);
    const auto first = layer.constants.begin() + static_cast<std::ptrdiff_t>(part * rank);
    return add_int32(parameter_name(layer, what), {static_cast<std::int32_t>(rank)},
                     {first, first + static_cast<std::ptrdiff_t>(rank)});
  }

  std::vector<std::int32_t> add_constants(const Layer& layer, std::size_t position) {
    const auto length = static_cast<std::int32_t>(layer.constants.size());
    const double spread = calibration_.weight_spread[position];
    if (!layer.constant.values.empty()) {
      return layer.code == OpCode::kConv2D ? add_given_weights(layer)
                                           : std::vector{add_given_constant(layer, "constant")};
    }
    switch (layer.code) {
      case OpCode::kConv2D:
      case OpCode::kDepthwiseConv2D:
      case OpCode::kFullyConnected:
        return add_weights(layer, position);
      case OpCode::kMul:
        if (layer.inputs.size() == 2) return {};
        return {add_channel_constant(layer, "gamma", spread, spread * (kLargestGain - 1.0))};
      case OpCode::kAdd:
        if (layer.inputs.size() == 2) return {};
        return {add_channel_constant(layer, "beta", calibration_.offset[position], spread)};
      case OpCode::kPad:
        return {add_int32(parameter_name(layer, "paddings"), {length / 2, 2}, layer.constants)};
      case OpCode::kMean:
        return {add_int32(parameter_name(layer, "axes"), {length}, layer.constants)};
      case OpCode::kReshape:
        return {add_int32(parameter_name(layer, "shape"), {length}, layer.constants)};
      case OpCode::kStridedSlice:
        return {add_slice_bound(layer, "begin", 0), add_slice_bound(layer, "end", 1),
                add_strides(layer)};
      case OpCode::kTranspose:
        return {add_int32(parameter_name(layer, "perm"), {length}, layer.constants)};
      case OpCode::kResizeNearestNeighbor:
        return {add_int32(parameter_name(layer, "size"), {length}, layer.constants)};
      default:
        return {};
    }
  }

  std::uint32_t code_index(const Layer& layer) {
    const std::pair code{layer.code, operator_version(layer)};
    const auto found = std::ranges::find(codes_, code);
    if (found != codes_.end()) return static_cast<std::uint32_t>(found - codes_.begin());
    codes_.push_back(code);
    return static_cast<std::uint32_t>(codes_.size() - 1);
  }

  void add_layer(std::size_t position) {
    const Layer& layer = network_.layers()[position];
    std::vector<std::int32_t> inputs;
    for (const ValueId input : layer.inputs) inputs.push_back(tensor_of_[index(input)]);
    const auto constants = add_constants(layer, position);
    inputs.insert(layer.constant.is_first ? inputs.begin() : inputs.end(), constants.begin(),
                  constants.end());
    std::vector<std::int32_t> outputs{add_value(layer.output)};
    for (const ValueId output : layer.more_outputs) outputs.push_back(add_value(output));
    const OperatorOptions options = operator_options(builder_, network_, layer);
    operators_.push_back(tflite::CreateOperatorDirect(
        builder_, code_index(layer), &inputs, &outputs, options.type, options.offset,
        layer.custom_options.empty() ? nullptr : &layer.custom_options));
  }

  fb::Offset<tflite::TensorMap> named_tensor(ValueId value) {
    const std::string& name = network_.values()[index(value)].name;
    return tflite::CreateTensorMapDirect(builder_, name.c_str(),
                                         static_cast<std::uint32_t>(tensor_of_[index(value)]));
  }

  fb::Offset<tflite::SignatureDef> signature() {
    const std::vector inputs{named_tensor(ValueId{0})};
    std::vector<fb::Offset<tflite::TensorMap>> outputs;
    for (const ValueId output : network_.outputs()) outputs.push_back(named_tensor(output));
    return tflite::CreateSignatureDefDirect(builder_, &inputs, &outputs, "serving_default");
  }

  fb::Offset<tflite::OperatorCode> operator_code(OpCode code, std::int32_t version) {
    const auto number = static_cast<std::int32_t>(code);
    const char* custom = code == OpCode::kCustom ? "TFLite_Detection_PostProcess" : nullptr;
    return tflite::CreateOperatorCodeDirect(builder_, static_cast<std::int8_t>(number), custom,
                                            version, static_cast<tflite::BuiltinOperator>(number));
  }

  fb::Offset<tflite::Metadata> runtime_version() {
    constexpr std::array<char, 16> kVersion{"1.14.0"};  // first runtime with the int8 operators
    const std::uint32_t buffer =
        constant_buffer(std::vector<char>(kVersion.begin(), kVersion.end()));
    return tflite::CreateMetadataDirect(builder_, "min_runtime_version", buffer);
  }

  void finish() {
    const std::vector<std::int32_t> inputs{tensor_of_[0]};
    std::vector<std::int32_t> outputs;
    for (const ValueId output : network_.outputs()) outputs.push_back(tensor_of_[index(output)]);
    const std::vector subgraphs{
        tflite::CreateSubGraphDirect(builder_, &tensors_, &inputs, &outputs, &operators_, "main")};
    const std::vector metadata{runtime_version()};
    const std::vector signatures{signature()};
    std::vector<fb::Offset<tflite::OperatorCode>> codes;
    for (const auto& [code, version] : codes_) codes.push_back(operator_code(code, version));
    const std::string description = "segue zoo: " + network_.name() + ", random weights";
    constexpr std::uint32_t kSchemaVersion = 3;
    const auto root =
        tflite::CreateModelDirect(builder_, kSchemaVersion, &codes, &subgraphs, description.c_str(),
                                  &buffers_, nullptr, &metadata, &signatures);
    tflite::FinishModelBuffer(builder_, root);
  }

  const Network& network_;
  Calibration calibration_;
  fb::FlatBufferBuilder builder_;
  fb::uoffset_t pending_ = 0;
  std::vector<std::pair<OpCode, std::int32_t>> codes_;  // with versions
  std::vector<std::int32_t> tensor_of_;                 // per value
  std::unordered_map<std::string, Kernel> kernels_;     // by name
  std::vector<fb::Offset<tflite::Buffer>> buffers_;
  std::vector<fb::Offset<tflite::Tensor>> tensors_;
  std::vector<fb::Offset<tflite::Operator>> operators_;
};

}  // namespace

std::vector<std::byte> serialize(const Network& network) { return Serializer(network).run(); }

}  // namespace segue::zoo
