// Chooses weight magnitudes and quantization scales for a network with random weights, so that at
// any depth no tensor is constant and hardly any value is clipped.
//
// A converter calibrates with pictures, which would take minutes here. Instead, the mean and
// variance of every tensor are propagated in closed form, as in weight initialization schemes (He
// et al. 2015): a convolution's variance is fan-in * weight variance * second moment of its input,
// and the weight variance is chosen to give each layer the same spread. Inputs of activation
// functions are assumed to be normally distributed. Tests run the models and measure the result.
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

// Limits of the per-channel multipliers, relative to their layer's value.
inline constexpr double kSmallestGain = 0.75;
inline constexpr double kLargestGain = 1.25;
// Standard deviation of biases relative to the spread of the layer's output.
inline constexpr double kBiasShare = 0.1;

}  // namespace segue::zoo
