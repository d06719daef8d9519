// Linear least squares with a few unknowns.
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

// Returns the unknowns with the smallest sum of squared differences. Unknowns marked in `is_zero`
// are zero. The solution by normal equations loses half of the digits, which is acceptable for
// factors of similar magnitude. Empty if the equations do not determine all unknowns.
[[nodiscard]] std::optional<std::vector<double>> least_squares(const LinearEquations& equations,
                                                               const std::vector<bool>& is_zero);

}  // namespace segue
