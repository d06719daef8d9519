// Linear least squares of a few unknowns.
#pragma once

#include <optional>
#include <vector>

namespace segue {

// sum over the unknowns of factors * unknown = right
struct LinearEquation {
  std::vector<double> factors;
  double right = 0;
};
using LinearEquations = std::vector<LinearEquation>;

// The unknowns with the smallest sum of squared differences; those that `is_zero` says are zero.
// By the normal equations, which lose half of the digits: enough for factors of one magnitude.
// Nothing where the equations leave an unknown open.
[[nodiscard]] std::optional<std::vector<double>> least_squares(const LinearEquations& equations,
                                                               const std::vector<bool>& is_zero);

}  // namespace segue
