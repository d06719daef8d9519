// Means, variances and ranges of tensors under simple operations, in closed form or by quadrature.
#pragma once

#include <cmath>
#include <span>

#include "zoo/network.h"

namespace segue::zoo {

struct Moments {
  double mean = 0;
  double variance = 1;
  [[nodiscard]] double second() const { return variance + mean * mean; }
  [[nodiscard]] double deviation() const { return std::sqrt(variance); }
};

// The moments of max(0, x) for a normal x.
[[nodiscard]] Moments rectified(const Moments& x);

// The moments of sigmoid(x), x * sigmoid(x) and x * relu6(x + 3) / 6 for a normal x.
[[nodiscard]] Moments sigmoid_moments(const Moments& x);
[[nodiscard]] Moments silu_moments(const Moments& x);
[[nodiscard]] Moments hard_swish_moments(const Moments& x);

// The moments and extremes of given numbers.
[[nodiscard]] Moments moments_of(std::span<const float> values);
[[nodiscard]] Range extremes_of(std::span<const float> values);

// The moments and range of the product of independent tensors.
[[nodiscard]] Moments product(const Moments& a, const Moments& b);
[[nodiscard]] Range product(const Range& a, const Range& b);

// Returns a range with all but the rarest values. Real tensors have heavier tails than the normal
// distribution assumed for them.
[[nodiscard]] Range range_of(const Moments& x);

[[nodiscard]] Range intersection(const Range& a, const Range& b);

}  // namespace segue::zoo
