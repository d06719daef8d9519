#include "zoo/calibrate.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

namespace segue::zoo {
namespace {

struct Moments {
  double mean = 0;
  double variance = 1;
  [[nodiscard]] double second() const { return variance + mean * mean; }
  [[nodiscard]] double deviation() const { return std::sqrt(variance); }
};

struct Range {
  double low = 0;
  double high = 0;
};

// Spread of a layer's output before its activation. ReLU6 gets 2, so that its upper end is used;
// the logits get 4, so that the softmax of 1000 classes has some that do not round to zero.
constexpr double kSpread = 1.0;
constexpr double kSpreadBeforeRelu6 = 2.0;
constexpr double kSpreadOfLogits = 4.0;
// Real tensors have heavier tails than the normal distribution they are modelled by.
constexpr double kDeviationsKept = 6.0;
constexpr double kRelu6 = 6.0;

double normal_density(double x) { return std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi); }
double normal_mass_below(double x) { return std::erfc(-x / std::numbers::sqrt2) / 2; }

// Moments of max(0, x) for a normal x.
Moments rectified(const Moments& x) {
  const double deviation = x.deviation();
  const double t = x.mean / deviation;
  const double mean = x.mean * normal_mass_below(t) + deviation * normal_density(t);
  const double second = x.second() * normal_mass_below(t) + x.mean * deviation * normal_density(t);
  return {mean, second - mean * mean};
}

Range range_of(const Moments& x) {
  return {x.mean - kDeviationsKept * x.deviation(), x.mean + kDeviationsKept * x.deviation()};
}

// Share of a window's taps that fall inside the map, averaged over output positions, along one
// axis.
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
    // The input is uniform over the int8 values of [-1, 1).
    moments_[0] = {0.0, 1.0 / 3.0};
    ranges_[0] = {-1.0, 127.0 / 128.0};
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
  void visit(std::size_t position) {
    const Layer& layer = network_.layers()[position];
    switch (layer.code) {
      case OpCode::kConv2D:
      case OpCode::kDepthwiseConv2D:
      case OpCode::kFullyConnected:
        return visit_weights(position, layer);
      case OpCode::kMul:
        return visit_multiplier(position, layer);
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
        return set(layer, {0.0, 1.0}, {0.0, 255.0 / 256.0});
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

  // Operators that TensorFlow Lite computes without requantizing: one scale for both sides.
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

  void visit_weights(std::size_t position, const Layer& layer) {
    double spread = layer.activation == Activation::kRelu6 ? kSpreadBeforeRelu6 : kSpread;
    if (feeds_softmax(layer)) spread = kSpreadOfLogits;
    result_.weight_spread[position] = spread / std::sqrt(fan_in(layer) * input(layer).second());
    activate(layer, {0.0, spread * spread}, layer.activation);
  }

  void visit_multiplier(std::size_t position, const Layer& layer) {
    const double gain = kSpread / input(layer).deviation();
    result_.weight_spread[position] = gain;
    activate(layer, {gain * input(layer).mean, gain * gain * input(layer).variance},
             layer.activation);
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

  // Neighbours are partly correlated, so the largest of a window lies below that of independent
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

  // Two thirds of the variance are between channels and survive; the rest averages out.
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
    std::vector<Range> merged(groups_.size());
    for (std::size_t i = 0; i < groups_.size(); ++i) {
      Range& range = merged[find(i)];
      range.low = std::min(range.low, ranges_[i].low);
      range.high = std::max(range.high, ranges_[i].high);
    }
    for (std::size_t i = 0; i < groups_.size(); ++i) result_.values[i] = quantize(merged[find(i)]);
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
  std::vector<std::size_t> groups_;  // union-find over values that share a scale
  Calibration result_;
};

}  // namespace

Calibration calibrate(const Network& network) { return Propagation(network).run(); }

}  // namespace segue::zoo
