#include "segue/report.h"

#include <fmt/format.h>

#include <array>

#include "evaluation/array/array.h"

namespace segue {
namespace {

constexpr std::uint32_t kSize = 3;

// Draws a register. The operands of the figure have no zeros, so 0 means an empty register.
std::string drawn(std::int64_t value, int width) {
  return value == 0 ? fmt::format("{:>{}}", "·", width) : fmt::format("{:>{}}", value, width);
}

std::string draw(const ArrayState& state) {
  std::string text = fmt::format("cycle {:>2}  {}\n", state.cycle,
                                 state.is_loading ? "weights move down, one row a cycle"
                                                  : "activations move right, sums move down");
  for (std::uint32_t row = 0; row < kSize; ++row) {
    for (std::uint32_t column = 0; column < kSize; ++column) {
      const std::size_t at = std::size_t{row} * kSize + column;
      text += fmt::format("  [{} x{} ={}]", drawn(state.weights[at], 2),
                          drawn(state.activations[at], 2), drawn(state.sums[at], 4));
    }
    text += "\n";
  }
  return text + "\n";
}

}  // namespace

std::string array_figure() {
  constexpr std::array<std::int8_t, std::size_t{kSize} * kSize> kActivations{1, 2, 3, 4, 5,
                                                                             6, 7, 8, 9};
  constexpr std::array<std::int8_t, std::size_t{kSize} * kSize> kWeights{9, 8, 7, 6, 5, 4, 3, 2, 1};
  std::string text =
      "A 3x3 weight-stationary array computes the product of two 3x3 matrices.\n"
      "Each element shows [weight x activation = sum] after the cycle; · is empty.\n\n"
      "  activations  1 2 3    weights  9 8 7\n"
      "               4 5 6             6 5 4\n"
      "               7 8 9             3 2 1\n\n";
  const ArrayShape array{kSize, kSize};
  const ArrayRun run = run_array(array, {kSize, kSize, kSize}, kActivations, kWeights,
                                 [&](const ArrayState& state) { text += draw(state); });
  text += fmt::format("{} cycles, equal to the closed form 2R + C + T - 2 = {}. Product:\n",
                      run.cycles, fold_cycles(array, kSize));
  for (std::uint32_t row = 0; row < kSize; ++row) {
    for (std::uint32_t column = 0; column < kSize; ++column)
      text += fmt::format("{:>5}", run.result[std::size_t{row} * kSize + column]);
    text += "\n";
  }
  return text;
}

}  // namespace segue
