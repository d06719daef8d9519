/// A weight-stationary systolic array, cycle by cycle and in closed form.
///
/// R x C processing elements each hold one int8 weight. Activations enter at the left and move one
/// column a cycle; int32 partial sums enter at the top and move one row a cycle; row r starts r
/// cycles late, so that sums and activations meet. A layer is a product of T x K activations
/// (im2col: T output pixels, K = kernel height * width * input channels) and K x N weights; weights
/// larger than the array are folded, one load of the array per fold.
///
/// This is the array of the paper's figure 1 and of SCALE-Sim v2's weight-stationary dataflow. It
/// proves the closed form and draws the figure. The Edge TPU's array, sixteen tiles of 64 x 4, has
/// other cycle rules.
/// Source: "Balanced segmentation of CNNs for multi-TPU inference", figure 1; A. Samajdar et al.,
/// "A systematic methodology for characterizing scalability of DNN accelerators using SCALE-Sim"
/// (ISPASS 2020).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace segue {

struct ArrayShape {
  std::uint32_t rows = 64;     // reduction dimension
  std::uint32_t columns = 64;  // output channels
};

/// activations [pixels, depth] times weights [depth, channels].
struct ProductShape {
  std::uint64_t pixels = 1;
  std::uint64_t depth = 1;
  std::uint64_t channels = 1;
};

/// A convolution without padding of [H, W, Ci] by `channels` kernels, which is equal to a product.
/// Throws Error(kInvalidArgument) if the kernel is larger than the map or a stride or extent is 0.
struct ConvolutionShape {
  std::uint64_t height = 1;
  std::uint64_t width = 1;
  std::uint64_t input_channels = 1;
  std::uint64_t kernel_height = 1;
  std::uint64_t kernel_width = 1;
  std::uint64_t stride = 1;
  std::uint64_t channels = 1;
};
[[nodiscard]] ProductShape as_product(const ConvolutionShape& convolution);

/// Returns the cycles of one fold: R to load the weights, then T + R + C - 2 until the last sum
/// leaves.
[[nodiscard]] std::uint64_t fold_cycles(const ArrayShape& array, std::uint64_t pixels);

/// Returns the cycles of a whole product, which are folds times fold_cycles, in O(1).
[[nodiscard]] std::uint64_t product_cycles(const ArrayShape& array, const ProductShape& product);

/// The content of the array after a cycle, for drawing.
struct ArrayState {
  std::uint64_t cycle = 0;                    // counted from 1, within the fold
  bool is_loading = false;                    // weights move in
  std::span<const std::int16_t> weights;      // rows x columns
  std::span<const std::int16_t> activations;  // rows x columns
  std::span<const std::int32_t> sums;         // rows x columns
};

struct ArrayRun {
  std::vector<std::int32_t> result;  // [pixels, channels]
  std::uint64_t cycles = 0;
};

/// Runs a product cycle by cycle and simulates every register of every element, in O(cycles * rows
/// * columns). `watch`, if given, is called with the array after each cycle. Sums wrap around like
/// int32. Throws Error(kInvalidArgument) if the operands do not have the product's size.
[[nodiscard]] ArrayRun run_array(const ArrayShape& array, const ProductShape& product,
                                 std::span<const std::int8_t> activations,
                                 std::span<const std::int8_t> weights,
                                 const std::function<void(const ArrayState&)>& watch = nullptr);

/// Draws the paper's figure 1: a 3x3 systolic array, cycle by cycle.
[[nodiscard]] std::string array_figure();

}  // namespace segue
