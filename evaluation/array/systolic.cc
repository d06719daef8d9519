#include <fmt/format.h>

#include <algorithm>

#include "evaluation/array/array.h"
#include "segue/error.h"

namespace segue {
namespace {

std::uint64_t ceil_divide(std::uint64_t a, std::uint64_t b) { return (a + b - 1) / b; }

// One load of weights and the pixels that stream through them. The registers of a row are
// contiguous, so that a cycle goes over the rows from the bottom up.
class Fold {
 public:
  Fold(const ArrayShape& array, std::uint64_t pixels, std::uint64_t& cycle,
       const std::function<void(const ArrayState&)>& watch)
      : rows_(array.rows),
        columns_(array.columns),
        pixels_(pixels),
        cycles_(pixels + rows_ + columns_ - 2),
        cycle_(cycle),
        watch_(watch),
        weights_(rows_ * columns_),
        streams_(rows_ * stream_length()),
        sums_(rows_ * columns_) {}

  // Weights enter at the top, the bottom row first, and move down one row a cycle.
  template <typename Weight>
  void load(const Weight& weight) {
    for (std::size_t step = 0; step < rows_; ++step) {
      std::copy_backward(weights_.begin(), weights_.end() - static_cast<std::ptrdiff_t>(columns_),
                         weights_.end());
      for (std::size_t c = 0; c < columns_; ++c) weights_[c] = weight(rows_ - 1 - step, c);
      tick(true, 0);
    }
  }

  // Calls emit(pixel, column, sum) when a sum leaves the bottom row.
  template <typename Activation, typename Emit>
  void stream(const Activation& activation, const Emit& emit) {
    for (std::size_t r = 0; r < rows_; ++r) {
      for (std::uint64_t pixel = 0; pixel < pixels_; ++pixel)
        streams_[r * stream_length() + cycles_ - 1 - r - pixel] = activation(pixel, r);
    }
    for (std::uint64_t t = 0; t < cycles_; ++t) {
      for (std::size_t r = rows_; r-- > 0;) accumulate(r, registers(r, t));
      tick(false, t);
      for (std::size_t c = 0; c < columns_; ++c) {
        const std::uint64_t delay = rows_ - 1 + c;
        if (t >= delay && t - delay < pixels_)
          emit(t - delay, c, sums_[(rows_ - 1) * columns_ + c]);
      }
    }
  }

 private:
  [[nodiscard]] std::size_t stream_length() const { return cycles_ + columns_; }

  // Returns the activation registers of row r in cycle t. `streams_` contains the activations of a
  // row in reverse order. Moving this window one place to the left moves all activations one column
  // to the right.
  [[nodiscard]] const std::int16_t* registers(std::size_t r, std::uint64_t t) const {
    return streams_.data() + r * stream_length() + (cycles_ - 1 - t);
  }

  // Computes the sums of row r: those of row r - 1 in the previous cycle, plus one product each.
  void accumulate(std::size_t r, const std::int16_t* activation) {
    const std::int16_t* weight = weights_.data() + r * columns_;
    std::int32_t* sum = sums_.data() + r * columns_;
    const std::int32_t* above = r == 0 ? nullptr : sum - columns_;
    for (std::size_t c = 0; c < columns_; ++c) {
      const auto before = static_cast<std::uint32_t>(above == nullptr ? 0 : above[c]);
      const auto product = static_cast<std::uint32_t>(weight[c] * activation[c]);
      sum[c] = static_cast<std::int32_t>(before + product);
    }
  }

  void tick(bool is_loading, std::uint64_t t) {
    ++cycle_;
    if (!watch_) return;
    std::vector<std::int16_t> activations(rows_ * columns_);
    for (std::size_t r = 0; r < rows_ && !is_loading; ++r)
      std::copy_n(registers(r, t), columns_, activations.data() + r * columns_);
    watch_({cycle_, is_loading, weights_, activations, sums_});
  }

  std::size_t rows_;
  std::size_t columns_;
  std::uint64_t pixels_;
  std::uint64_t cycles_;  // cycles of streaming
  std::uint64_t& cycle_;
  const std::function<void(const ArrayState&)>& watch_;
  // The type is int16, so that a product of two fits one multiplication of the processor's vector
  // unit.
  std::vector<std::int16_t> weights_;
  std::vector<std::int16_t> streams_;  // per row, see registers()
  std::vector<std::int32_t> sums_;
};

void check_operands(const ArrayShape& array, const ProductShape& product, std::size_t activations,
                    std::size_t weights) {
  if (array.rows == 0 || array.columns == 0)
    throw Error(ErrorCode::kInvalidArgument, "an array needs at least one row and one column");
  if (activations != product.pixels * product.depth ||
      weights != product.depth * product.channels) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("a product of {} x {} by {} x {} needs {} activations and {} weights, "
                            "but {} and {} were given",
                            product.pixels, product.depth, product.depth, product.channels,
                            product.pixels * product.depth, product.depth * product.channels,
                            activations, weights));
  }
}

}  // namespace

ProductShape as_product(const ConvolutionShape& convolution) {
  if (convolution.stride == 0 || convolution.kernel_height == 0 || convolution.kernel_width == 0 ||
      convolution.kernel_height > convolution.height ||
      convolution.kernel_width > convolution.width) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("a kernel of {} x {} with stride {} does not fit a map of {} x {}",
                            convolution.kernel_height, convolution.kernel_width, convolution.stride,
                            convolution.height, convolution.width));
  }
  const std::uint64_t height =
      (convolution.height - convolution.kernel_height) / convolution.stride + 1;
  const std::uint64_t width =
      (convolution.width - convolution.kernel_width) / convolution.stride + 1;
  return {height * width,
          convolution.kernel_height * convolution.kernel_width * convolution.input_channels,
          convolution.channels};
}

std::uint64_t fold_cycles(const ArrayShape& array, std::uint64_t pixels) {
  return 2ULL * array.rows + array.columns + pixels - 2;
}

std::uint64_t product_cycles(const ArrayShape& array, const ProductShape& product) {
  return ceil_divide(product.depth, array.rows) * ceil_divide(product.channels, array.columns) *
         fold_cycles(array, product.pixels);
}

ArrayRun run_array(const ArrayShape& array, const ProductShape& product,
                   std::span<const std::int8_t> activations, std::span<const std::int8_t> weights,
                   const std::function<void(const ArrayState&)>& watch) {
  check_operands(array, product, activations.size(), weights.size());
  ArrayRun run;
  run.result.resize(product.pixels * product.channels);
  for (std::uint64_t first_channel = 0; first_channel < product.channels;
       first_channel += array.columns) {
    for (std::uint64_t first_depth = 0; first_depth < product.depth; first_depth += array.rows) {
      Fold fold(array, product.pixels, run.cycles, watch);
      // Elements beyond the edges of the operands contain zeros.
      fold.load([&](std::size_t r, std::size_t c) -> std::int16_t {
        const std::uint64_t k = first_depth + r;
        const std::uint64_t n = first_channel + c;
        const bool is_inside = k < product.depth && n < product.channels;
        return is_inside ? std::int16_t{weights[k * product.channels + n]} : std::int16_t{0};
      });
      fold.stream(
          [&](std::uint64_t pixel, std::size_t r) -> std::int16_t {
            const std::uint64_t k = first_depth + r;
            return k < product.depth ? std::int16_t{activations[pixel * product.depth + k]}
                                     : std::int16_t{0};
          },
          [&](std::uint64_t pixel, std::size_t c, std::int32_t sum) {
            const std::uint64_t n = first_channel + c;
            if (n >= product.channels) return;
            auto& result = run.result[pixel * product.channels + n];
            result = static_cast<std::int32_t>(static_cast<std::uint32_t>(result) +
                                               static_cast<std::uint32_t>(sum));
          });
    }
  }
  return run;
}

}  // namespace segue
