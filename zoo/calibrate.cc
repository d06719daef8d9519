#include "zoo/calibrate.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <string>
#include <utility>

#include "zoo/moments.h"

namespace segue::zoo {
namespace {

// Spread of a layer's output before its activation. ReLU6 gets 2, so that its upper end is used;
// the logits get 4, so that the softmax of 1000 classes has some that do not round to zero.
constexpr double kSpread = 1.0;
constexpr double kSpreadBeforeRelu6 = 2.0;
constexpr double kSpreadOfLogits = 4.0;
constexpr double kRelu6 = 6.0;
// Slightly below the minimum of each function, so that the many values near it are not counted as
// clipped.
constexpr double kLowestSilu = -0.3;
constexpr double kLowestHardSwish = -0.4;

// Returns the share of a window's taps that are inside the map, averaged over the output positions
// along one axis.
double taps_inside(std::int32_t input, std::int32_t output, std::int32_t window,
                   std::int32_t stride, Padding padding) {
  if (padding == Padding::kValid) return 1.0;
  const std::int32_t before = std::max(0, (output - 1) * stride + window - input) / 2;
  std::int64_t inside = 0;
  for (std::int32_t i = 0; i < output; ++i) {
    const std::int32_t first = i * stride - before;
    inside += std::min(first + window, input) - std::max(first, 0);
  }
  return static_cast<double>(inside) / (static_cast<double>(output) * window);
}

class Propagation {
 public:
  explicit Propagation(const Network& network)
      : network_(network),
        moments_(network.values().size()),
        ranges_(moments_.size()),
        groups_(moments_.size()) {
    std::iota(groups_.begin(), groups_.end(), std::size_t{0});
    visit_input(network.input_range());
    result_.values.resize(moments_.size());
    result_.weight_spread.resize(network.layers().size());
    result_.offset.resize(network.layers().size());
  }

  Calibration run() {
    for (std::size_t i = 0; i < network_.layers().size(); ++i) visit(i);
    quantize_groups();
    return std::move(result_);
  }

 private:
  // The input is uniformly distributed over its range. The end of that distribution is one step
  // above the largest value.
  void visit_input(const Range& range) {
    constexpr double kSteps = 256.0;
    const double extent = (range.high - range.low) * kSteps / (kSteps - 1);
    moments_[0] = {range.low + extent / 2, extent * extent / 12};
    ranges_[0] = range;
  }

  void visit(std::size_t position) {
    const Layer& layer = network_.layers()[position];
    if (!layer.constant.values.empty() && layer.code != OpCode::kCustom)
      return visit_constant(layer);
    switch (layer.code) {
      case OpCode::kConv2D:
      case OpCode::kDepthwiseConv2D:
      case OpCode::kFullyConnected:
        return visit_weights(position, layer);
      case OpCode::kMul:
        return layer.inputs.size() == 1 ? visit_multiplier(position, layer) : visit_product(layer);
      case OpCode::kSub:
        return visit_difference(layer);
      case OpCode::kLogistic:
        return set(layer, sigmoid_moments(input(layer)), {0.0, 255.0 / 256.0});
      case OpCode::kHardSwish:
        return set(layer, hard_swish_moments(input(layer)),
                   {kLowestHardSwish, range_of(input(layer)).high});
      case OpCode::kQuantize:
        return set(layer, input(layer), ranges_[index(layer.inputs[0])]);
      case OpCode::kDequantize:
      case OpCode::kCustom:
        return;  // floating-point numbers have no scale
      case OpCode::kAdd:
        return layer.inputs.size() == 1 ? visit_offset(position, layer) : visit_sum(layer);
      case OpCode::kMaxPool2D:
        return visit_max_pool(layer);
      case OpCode::kAveragePool2D:
        return visit_average_pool(layer);
      case OpCode::kConcatenation:
        return visit_concatenation(layer);
      case OpCode::kMean:
        return visit_mean(layer);
      case OpCode::kRelu:
        return activate(layer, input(layer), Activation::kRelu);
      case OpCode::kTanh:
        return set(layer, {0.0, 0.4}, {-1.0, 127.0 / 128.0});
      case OpCode::kSoftmax:
        return visit_softmax(layer);
      default:
        return pass(layer, input(layer));
    }
  }

  [[nodiscard]] const Moments& input(const Layer& layer) const {
    return moments_[index(layer.inputs[0])];
  }

  void set(const Layer& layer, const Moments& moments, const Range& range) {
    moments_[index(layer.output)] = moments;
    ranges_[index(layer.output)] = range;
  }

  // For operators that TensorFlow Lite computes without requantizing: input and output have the
  // same scale.
  void pass(const Layer& layer, const Moments& moments) {
    set(layer, moments, ranges_[index(layer.inputs[0])]);
    join(layer.inputs[0], layer.output);
  }

  void activate(const Layer& layer, const Moments& x, Activation activation) {
    const Range range = range_of(x);
    switch (activation) {
      case Activation::kNone:
        return set(layer, x, range);
      case Activation::kRelu:
        return set(layer, rectified(x), {0.0, range.high});
      case Activation::kRelu6:
        return set(layer, rectified(x), {0.0, kRelu6});
    }
  }

  [[nodiscard]] bool feeds_softmax(const Layer& layer) const {
    const ValueId last = network_.layers().back().output;
    const Layer& end = network_.layers().back();
    if (end.code != OpCode::kSoftmax || layer.output == last) return false;
    ValueId logits = end.inputs[0];
    for (std::size_t i = network_.layers().size(); i-- > 0;) {
      const Layer& before = network_.layers()[i];
      const bool passes = before.code == OpCode::kReshape || before.code == OpCode::kMean;
      if (before.output == logits && passes) logits = before.inputs[0];
    }
    return layer.output == logits;
  }

  [[nodiscard]] double fan_in(const Layer& layer) const {
    const Shape& in = network_.shape(layer.inputs[0]);
    const Shape& out = network_.shape(layer.output);
    if (layer.code == OpCode::kFullyConnected) return in.channels;
    const Window& w = layer.window;
    const double taps = taps_inside(in.height, out.height, w.height, w.stride, w.padding) *
                        w.height * taps_inside(in.width, out.width, w.width, w.stride, w.padding) *
                        w.width;
    return layer.code == OpCode::kDepthwiseConv2D ? taps : taps * in.channels;
  }

  // Returns the factor by which the jitter of gains and the biases increase the variance of an
  // output. It is a few percent per layer, which add up in deep networks without ReLU. Networks
  // with ReLU were made without this factor and must keep their bytes, so it is 1 for them.
  [[nodiscard]] double excess_variance(const Layer& layer, double spread) const {
    if (!network_.keeps_order()) return 1;
    constexpr double kJitter = (kLargestGain - kSmallestGain) / 2;
    double extent = 12 * spread;
    if (layer.activation == Activation::kRelu) extent /= 2;
    if (layer.activation == Activation::kRelu6) extent = kRelu6;
    const double bias = kBiasShare * extent / 4 / spread;
    return 1 + kJitter * kJitter / 3 + bias * bias / 3;
  }

  void visit_weights(std::size_t position, const Layer& layer) {
    double spread = layer.activation == Activation::kRelu6 ? kSpreadBeforeRelu6 : kSpread;
    if (feeds_softmax(layer)) spread = kSpreadOfLogits;
    const double gain =
        std::sqrt(fan_in(layer) * input(layer).second() * excess_variance(layer, spread));
    const auto [shared, is_first] =
        kernels_.emplace(std::pair{layer.name, layer.code}, spread / gain);
    result_.weight_spread[position] = shared->second;
    if (!is_first) spread = shared->second * gain;
    activate(layer, {0.0, spread * spread}, layer.activation);
  }

  void visit_multiplier(std::size_t position, const Layer& layer) {
    const double gain = kSpread / input(layer).deviation();
    result_.weight_spread[position] = gain;
    activate(layer, {gain * input(layer).mean, gain * gain * input(layer).variance},
             layer.activation);
  }

  // For x * sigmoid(x), whose factors depend on each other, and for products of independent
  // tensors.
  void visit_product(const Layer& layer) {
    const Moments& x = input(layer);
    const ValueId factor = layer.inputs[1];
    const bool is_silu = std::ranges::any_of(network_.layers(), [&](const Layer& gate) {
      return gate.output == factor && gate.code == OpCode::kLogistic &&
             gate.inputs[0] == layer.inputs[0];
    });
    if (is_silu) return set(layer, silu_moments(x), {kLowestSilu, range_of(x).high});
    const Moments moments = product(x, moments_[index(factor)]);
    const Range bounds = product(ranges_[index(layer.inputs[0])], ranges_[index(factor)]);
    set(layer, moments, intersection(bounds, range_of(moments)));
  }

  void visit_difference(const Layer& layer) {
    const Moments& a = moments_[index(layer.inputs[0])];
    const Moments& b = moments_[index(layer.inputs[1])];
    set_sum(layer, a, ranges_[index(layer.inputs[0])], {-b.mean, b.variance},
            negated(ranges_[index(layer.inputs[1])]));
  }

  void set_sum(const Layer& layer, const Moments& a, const Range& a_range, const Moments& b,
               const Range& b_range) {
    const Moments moments{a.mean + b.mean, a.variance + b.variance};
    set(layer, moments,
        intersection({a_range.low + b_range.low, a_range.high + b_range.high}, range_of(moments)));
  }

  static Range negated(const Range& range) { return {-range.high, -range.low}; }

  // A convolution with given weights computes a weighted mean, because its input is a softmax.
  void visit_constant(const Layer& layer) {
    const Moments& x = input(layer);
    const Range& range = ranges_[index(layer.inputs[0])];
    const Moments values = moments_of(layer.constant.values);
    const Range extremes = extremes_of(layer.constant.values);
    const double sign = layer.code == OpCode::kSub && layer.constant.is_first ? -1 : 1;
    if (layer.code == OpCode::kConv2D) {
      const auto count = static_cast<double>(layer.constant.values.size());
      set(layer, {count * values.mean * x.mean, count * values.second() * x.variance}, extremes);
    } else if (layer.code == OpCode::kMul) {
      const Moments moments = product(x, values);
      set(layer, moments, intersection(product(range, extremes), range_of(moments)));
    } else {
      set_sum(layer, {sign * x.mean, x.variance}, sign < 0 ? negated(range) : range, values,
              extremes);
    }
  }

  // For normally distributed logits, the outputs are around 1 / n.
  void visit_softmax(const Layer& layer) {
    const auto count = static_cast<double>(network_.shape(layer.output).channels);
    const double second = std::min(std::exp(input(layer).variance), count) / (count * count);
    set(layer, {1 / count, second - 1 / (count * count)}, {0.0, 255.0 / 256.0});
  }

  // The offset of a batch normalization removes the mean.
  void visit_offset(std::size_t position, const Layer& layer) {
    result_.weight_spread[position] = kBiasShare * input(layer).deviation();
    result_.offset[position] = -input(layer).mean;
    activate(layer, {0.0, input(layer).variance}, layer.activation);
  }

  void visit_sum(const Layer& layer) {
    const Moments& a = moments_[index(layer.inputs[0])];
    const Moments& b = moments_[index(layer.inputs[1])];
    const bool is_doubled = layer.inputs[0] == layer.inputs[1];
    const double variance = is_doubled ? 4 * a.variance : a.variance + b.variance;
    activate(layer, {a.mean + b.mean, variance}, layer.activation);
  }

  // Neighbours are partly correlated, so the maximum of a window is lower than for independent
  // samples (1.49 deviations for nine of them).
  void visit_max_pool(const Layer& layer) {
    constexpr double kRise = 0.9;
    constexpr double kNarrowing = 0.8;
    const bool is_window = layer.window.height * layer.window.width > 1;
    Moments x = input(layer);
    if (is_window) x = {x.mean + kRise * x.deviation(), kNarrowing * x.variance};
    pass(layer, x);
  }

  void visit_average_pool(const Layer& layer) {
    const std::int32_t area = layer.window.height * layer.window.width;
    pass(layer, averaged(input(layer), area));
  }

  void visit_mean(const Layer& layer) {
    const Shape& in = network_.shape(layer.inputs[0]);
    const Moments moments = averaged(input(layer), in.height * in.width);
    const Range& range = ranges_[index(layer.inputs[0])];
    set(layer, moments,
        {std::max(range.low, range_of(moments).low), std::min(range.high, range_of(moments).high)});
  }

  // Two thirds of the variance are between channels and remain. The rest averages out.
  static Moments averaged(const Moments& x, std::int32_t area) {
    constexpr double kBetweenChannels = 2.0 / 3.0;
    return {x.mean, x.variance * (kBetweenChannels + (1 - kBetweenChannels) / area)};
  }

  void visit_concatenation(const Layer& layer) {
    double channels = 0;
    double mean = 0;
    double second = 0;
    for (const ValueId part : layer.inputs) {
      const double share = network_.shape(part).channels;
      channels += share;
      mean += share * moments_[index(part)].mean;
      second += share * moments_[index(part)].second();
      join(part, layer.output);
    }
    mean /= channels;
    second /= channels;
    set(layer, {mean, second - mean * mean}, ranges_[index(layer.inputs[0])]);
  }

  std::size_t find(std::size_t value) {
    while (groups_[value] != value) value = groups_[value] = groups_[groups_[value]];
    return value;
  }

  void join(ValueId a, ValueId b) { groups_[find(index(a))] = find(index(b)); }

  void quantize_groups() {
    std::vector<Range> merged(groups_.size(), Range{0, 0});
    for (std::size_t i = 0; i < groups_.size(); ++i) {
      Range& range = merged[find(i)];
      range.low = std::min(range.low, ranges_[i].low);
      range.high = std::max(range.high, ranges_[i].high);
    }
    constexpr std::int32_t kUint8Offset = 128;
    for (std::size_t i = 0; i < groups_.size(); ++i) {
      result_.values[i] = quantize(merged[find(i)]);
      if (network_.values()[i].type == ElementType::kUint8)
        result_.values[i].zero_point += kUint8Offset;
    }
  }

  static Affine quantize(const Range& range) {
    constexpr double kSteps = 255.0;
    constexpr double kLowest = -128.0;
    const auto scale = static_cast<float>((range.high - range.low) / kSteps);
    return {scale, static_cast<std::int32_t>(
                       std::lround(kLowest - range.low / static_cast<double>(scale)))};
  }

  const Network& network_;
  std::vector<Moments> moments_;
  std::vector<Range> ranges_;
  // The spread of weights by kernel, because several layers may share one.
  std::map<std::pair<std::string, OpCode>, double> kernels_;
  std::vector<std::size_t> groups_;  // union-find over values that share a scale
  Calibration result_;
};

}  // namespace

Calibration calibrate(const Network& network) { return Propagation(network).run(); }

}  // namespace segue::zoo
