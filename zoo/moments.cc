#include "zoo/moments.h"

#include <algorithm>
#include <numbers>

namespace segue::zoo {
namespace {

constexpr double kDeviationsKept = 6.0;

double normal_density(double x) { return std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi); }
double normal_mass_below(double x) { return std::erfc(-x / std::numbers::sqrt2) / 2; }

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// Returns the moments of f(x) for a normal x by the rectangle rule, which has many correct digits
// for smooth functions under a normal density.
template <typename F>
Moments through(const Moments& x, F f) {
  constexpr int kSteps = 64;
  double total = 0;
  double first = 0;
  double second = 0;
  for (int i = -kSteps; i <= kSteps; ++i) {
    const double z = kDeviationsKept * i / kSteps;
    const double weight = normal_density(z);
    const double y = f(x.mean + z * x.deviation());
    total += weight;
    first += weight * y;
    second += weight * y * y;
  }
  const double mean = first / total;
  return {mean, second / total - mean * mean};
}

}  // namespace

Moments rectified(const Moments& x) {
  const double deviation = x.deviation();
  const double t = x.mean / deviation;
  const double mean = x.mean * normal_mass_below(t) + deviation * normal_density(t);
  const double second = x.second() * normal_mass_below(t) + x.mean * deviation * normal_density(t);
  return {mean, second - mean * mean};
}

Moments sigmoid_moments(const Moments& x) { return through(x, sigmoid); }

Moments silu_moments(const Moments& x) {
  return through(x, [](double v) { return v * sigmoid(v); });
}

Moments hard_swish_moments(const Moments& x) {
  return through(x, [](double v) { return v * std::clamp(v + 3, 0.0, 6.0) / 6; });
}

Moments moments_of(std::span<const float> values) {
  double sum = 0;
  double squares = 0;
  for (const float value : values) {
    sum += static_cast<double>(value);
    squares += static_cast<double>(value) * static_cast<double>(value);
  }
  const auto count = static_cast<double>(values.size());
  const double mean = sum / count;
  return {mean, std::max(0.0, squares / count - mean * mean)};
}

Range extremes_of(std::span<const float> values) {
  const auto [low, high] = std::ranges::minmax(values);
  return {static_cast<double>(low), static_cast<double>(high)};
}

Moments product(const Moments& a, const Moments& b) {
  const double mean = a.mean * b.mean;
  return {mean, a.second() * b.second() - mean * mean};
}

Range product(const Range& a, const Range& b) {
  const auto [low, high] =
      std::minmax({a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high});
  return {low, high};
}

Range range_of(const Moments& x) {
  return {x.mean - kDeviationsKept * x.deviation(), x.mean + kDeviationsKept * x.deviation()};
}

Range intersection(const Range& a, const Range& b) {
  return {std::max(a.low, b.low), std::min(a.high, b.high)};
}

}  // namespace segue::zoo
