#include "toolchain/calibrate/least_squares.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

namespace segue {
namespace {

using Matrix = std::vector<std::vector<double>>;  // the last column is the right sides

Matrix normal_equations(const LinearEquations& equations, const std::vector<std::size_t>& open) {
  Matrix result(open.size(), std::vector<double>(open.size() + 1, 0));
  for (const LinearEquation& equation : equations) {
    for (std::size_t i = 0; i < open.size(); ++i) {
      const double factor = equation.factors[open[i]];
      for (std::size_t j = 0; j < open.size(); ++j)
        result[i][j] += factor * equation.factors[open[j]];
      result[i].back() += factor * equation.right;
    }
  }
  return result;
}

// Gauss-Jordan elimination with the largest pivot of each column.
std::optional<std::vector<double>> solve(Matrix m) {
  constexpr double kNothing = 1e-12;
  for (std::size_t column = 0; column < m.size(); ++column) {
    const auto pivot = std::max_element(
        m.begin() + static_cast<std::ptrdiff_t>(column), m.end(),
        [&](const auto& a, const auto& b) { return std::abs(a[column]) < std::abs(b[column]); });
    if (!(std::abs((*pivot)[column]) > kNothing)) return std::nullopt;
    std::swap(m[column], *pivot);
    for (std::size_t row = 0; row < m.size(); ++row) {
      if (row == column) continue;
      const double share = m[row][column] / m[column][column];
      for (std::size_t j = column; j <= m.size(); ++j) m[row][j] -= share * m[column][j];
    }
  }
  std::vector<double> result;
  for (std::size_t i = 0; i < m.size(); ++i) result.push_back(m[i].back() / m[i][i]);
  return result;
}

}  // namespace

std::optional<std::vector<double>> least_squares(const LinearEquations& equations,
                                                 const std::vector<bool>& is_zero) {
  std::vector<std::size_t> open;
  for (std::size_t i = 0; i < is_zero.size(); ++i) {
    if (!is_zero[i]) open.push_back(i);
  }
  const auto solution = solve(normal_equations(equations, open));
  if (!solution) return std::nullopt;
  std::vector<double> result(is_zero.size(), 0);
  for (std::size_t i = 0; i < open.size(); ++i) result[open[i]] = (*solution)[i];
  return result;
}

}  // namespace segue
