#include "model/internal/operator_kinds.h"

#include <array>

#include "model/internal/schema.h"

namespace segue {
namespace {

using B = tflite::BuiltinOperator;

struct Row {
  B code{};
  OperatorKind kind;
};

// Operations of the device: coral.ai/docs/edgetpu/models-intro, "Supported operations". Versions
// are those of TensorFlow 2.5, with which edgetpu_compiler 16 was built: they lie between the
// kernel registers of 2.4 and 2.6. TensorFlow's lite/tools/versioning/runtime_version.cc names the
// release of each. The versions of CONV_2D, PAD, QUANTIZE and TRANSPOSE_CONV also follow from files
// in which the compiler left them to the host.
constexpr std::array kRows{
    Row{B::ADD, {Loop::kBinary, 4}},
    Row{B::AVERAGE_POOL_2D, {Loop::kPool, 3}},
    Row{B::BATCH_MATMUL, {Loop::kMatrixProduct}},
    Row{B::BATCH_TO_SPACE_ND, {Loop::kMove}},
    Row{B::CAST, {Loop::kMove}},
    Row{B::CONCATENATION, {Loop::kMove, 3}},
    Row{B::CONV_2D, {Loop::kConvolution, 5}},
    Row{B::DEPTHWISE_CONV_2D, {Loop::kDepthwise, 6}},
    Row{B::DEPTH_TO_SPACE, {Loop::kMove}},
    Row{B::DEQUANTIZE, {Loop::kMove}},
    Row{B::DIV, {Loop::kBinary}},
    Row{B::EXPAND_DIMS, {Loop::kRename, 1}},
    Row{B::FULLY_CONNECTED, {Loop::kDense, 9}},
    Row{B::GATHER, {Loop::kMove}},
    Row{B::GELU, {Loop::kLookup}},
    Row{B::HARD_SWISH, {Loop::kLookup}},
    Row{B::L2_NORMALIZATION, {Loop::kArithmetic, 2}},
    Row{B::LOGISTIC, {Loop::kLookup, 3}},
    Row{B::MAXIMUM, {Loop::kBinary, 4}},
    Row{B::MAX_POOL_2D, {Loop::kPool, 3}},
    Row{B::MEAN, {Loop::kReduction, 3}},
    Row{B::MINIMUM, {Loop::kBinary, 4}},
    Row{B::MUL, {Loop::kBinary, 4}},
    Row{B::NEG, {Loop::kMove}},
    Row{B::PACK, {Loop::kMove, 3}},
    Row{B::PAD, {Loop::kPad, 3}},
    Row{B::PADV2, {Loop::kPad}},
    Row{B::PRELU, {Loop::kArithmetic, 1}},
    Row{B::QUANTIZE, {Loop::kArithmetic, 2}},
    Row{B::REDUCE_MAX, {Loop::kReduction, 3}},
    Row{B::REDUCE_MIN, {Loop::kReduction, 3}},
    Row{B::RELU, {Loop::kArithmetic, 3}},
    Row{B::RELU6, {Loop::kArithmetic, 3}},
    Row{B::RELU_N1_TO_1, {Loop::kArithmetic, 1}},
    Row{B::RESHAPE, {Loop::kRename, 1}},
    Row{B::RESIZE_BILINEAR, {Loop::kInterpolation, 4}},
    Row{B::RESIZE_NEAREST_NEIGHBOR, {Loop::kMove, 4}},
    Row{B::RSQRT, {Loop::kArithmetic, 2}},
    Row{B::SLICE, {Loop::kMove, 5}},
    Row{B::SOFTMAX, {Loop::kSoftmax, 3}},
    Row{B::SPACE_TO_BATCH_ND, {Loop::kMove}},
    Row{B::SPACE_TO_DEPTH, {Loop::kMove, 2}},
    Row{B::SPLIT, {Loop::kMove, 4}},
    Row{B::SPLIT_V, {Loop::kMove}},
    Row{B::SQUARED_DIFFERENCE, {Loop::kBinary, 2}},
    Row{B::SQUEEZE, {Loop::kRename, 2}},
    Row{B::STRIDED_SLICE, {Loop::kMove, 5}},
    Row{B::SUB, {Loop::kBinary, 5}},
    Row{B::SUM, {Loop::kReduction, 2}},
    Row{B::TANH, {Loop::kLookup, 3}},
    Row{B::TRANSPOSE, {Loop::kMove, 5}},
    Row{B::TRANSPOSE_CONV, {Loop::kTransposeConvolution, 3}},
    Row{B::UNIDIRECTIONAL_SEQUENCE_LSTM, {Loop::kRecurrent, 3}},
    Row{B::UNPACK, {Loop::kMove}},
};

// Operators with later codes are not supported by the device and have no row.
constexpr std::size_t kCodes = 256;
constexpr std::array<OperatorKind, kCodes> by_code() {
  std::array<OperatorKind, kCodes> kinds{};
  for (const Row& row : kRows) kinds[static_cast<std::size_t>(row.code)] = row.kind;
  return kinds;
}

}  // namespace

OperatorKind kind_of(OpCode code) {
  static constexpr auto kKinds = by_code();
  const auto position = static_cast<std::size_t>(code);
  return position < kCodes ? kKinds.at(position) : OperatorKind{};
}

}  // namespace segue
