// The properties of each kind of operator, one row per kind: its loop, and the versions that
// Google's compiler supports. MACs, windows, memory, cycles and times on the host all follow from
// the loop, so a new operator needs only one row.
#pragma once

#include <cstdint>

#include "segue/model.h"

namespace segue {

enum class Loop : std::uint8_t {
  kConvolution,           // weights [Co, kh, kw, Ci]
  kTransposeConvolution,  // the same; each input pixel adds to kh * kw output pixels
  kDepthwise,             // weights [1, kh, kw, C]
  kDense,                 // weights [No, Ni]
  kRecurrent,             // weights [No, Ni], several, once per time step
  kMatrixProduct,         // of two activations
  kPool,                  // a window over a map
  kInterpolation,         // four neighbours per output element
  kReduction,             // every input element, to fewer outputs
  kSoftmax,               // of vectors
  kBinary,                // two activations, element by element
  kArithmetic,            // one activation, element by element
  kLookup,                // the same; for 8-bit integers a table of 256 values
  kMove,                  // copies elements or converts their scale
  kPad,                   // copies, into a larger map
  kRename,                // the same elements with another shape
};

struct OperatorKind {
  Loop loop = Loop::kArithmetic;
  // The newest version that edgetpu_compiler 16 supports; 0: it leaves the operator to the host.
  std::int8_t newest_on_device = 0;
};

// O(1). Operators without a row are treated as arithmetic on the host.
[[nodiscard]] OperatorKind kind_of(OpCode code);

// Returns the size of a dimension, or 1 if the tensor has fewer dimensions.
[[nodiscard]] inline std::uint64_t extent(const Tensor& tensor, std::size_t dimension) {
  return dimension < tensor.shape.size() ? static_cast<std::uint64_t>(tensor.shape[dimension]) : 1;
}

[[nodiscard]] constexpr bool is_pointwise(Loop loop) { return loop >= Loop::kBinary; }

// Whether the second input holds weights with a window: [.., kh, kw, ..].
[[nodiscard]] constexpr bool has_window_of_weights(Loop loop) {
  return loop == Loop::kConvolution || loop == Loop::kTransposeConvolution ||
         loop == Loop::kDepthwise;
}

// Whether the second input holds weights that must be constants on the device.
[[nodiscard]] constexpr bool has_weights(Loop loop) {
  return has_window_of_weights(loop) || loop == Loop::kDense;
}

}  // namespace segue
