// Chooses weight magnitudes and quantization scales so that a network of random weights stays
// alive: no tensor constant, hardly any value clipped, at any depth.
//
// A converter calibrates on pictures; that would take minutes here. Instead the mean and variance
// of every tensor are propagated in closed form, as weight initialization schemes do (He et al.
// 2015): a convolution's variance is fan-in * weight variance * second moment of its input, and the
// weight variance is chosen to give each layer the same spread. Activation functions are taken on a
// normal distribution. Tests measure the result by running the models.
#pragma once

#include <cstdint>
#include <vector>

#include "zoo/network.h"

namespace segue::zoo {

struct Affine {
  float scale = 1.0F;
  std::int32_t zero_point = 0;
};

struct Calibration {
  std::vector<Affine> values;  // per Value of the network
  std::vector<double>
      weight_spread;           // per Layer: standard deviation of the real weights, or of the
                               // multiplier for MUL and the offset for ADD with a constant
  std::vector<double> offset;  // per Layer: mean of the constant of an ADD
};

[[nodiscard]] Calibration calibrate(const Network& network);

// Jitter of per-channel multipliers around their layer's value.
inline constexpr double kSmallestGain = 0.75;
inline constexpr double kLargestGain = 1.25;
// Standard deviation of biases relative to the spread of the layer's output.
inline constexpr double kBiasShare = 0.1;

}  // namespace segue::zoo
