#include "model/first_extent.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <vector>

#include "model/element_bits.h"

namespace segue {
namespace {

using Code = tflite::BuiltinOperator;
using Extent = std::optional<std::int64_t>;

// How the first extent of an output follows from the inputs of an operator.
enum class Rule {
  kUnknown,
  kSameElements,  // as many elements as the first input
  kFirstInput,    // the first extent of the first input
  kThirdInput,
  kBroadcast,   // the largest first extent of the inputs of full rank
  kUnlessAxis,  // that of the first input, unless the operator works along it
  kPad,
  kReduce,
  kTile,
  kSpaceToBatch,
  kBatchToSpace,
  kDense,
  kSlice,
  kStridedSlice,
};

constexpr std::array kKeepElements{Code::RESHAPE,
                                   Code::SQUEEZE,
                                   Code::EXPAND_DIMS,
                                   Code::TRANSPOSE,
                                   Code::SPACE_TO_DEPTH,
                                   Code::DEPTH_TO_SPACE,
                                   Code::QUANTIZE,
                                   Code::DEQUANTIZE,
                                   Code::CAST,
                                   Code::RELU,
                                   Code::RELU6,
                                   Code::RELU_N1_TO_1,
                                   Code::RELU_0_TO_1,
                                   Code::LEAKY_RELU,
                                   Code::ELU,
                                   Code::GELU,
                                   Code::HARD_SWISH,
                                   Code::LOGISTIC,
                                   Code::TANH,
                                   Code::SOFTMAX,
                                   Code::LOG_SOFTMAX,
                                   Code::L2_NORMALIZATION,
                                   Code::LOCAL_RESPONSE_NORMALIZATION,
                                   Code::ABS,
                                   Code::NEG,
                                   Code::EXP,
                                   Code::LOG,
                                   Code::SQRT,
                                   Code::RSQRT,
                                   Code::SQUARE,
                                   Code::SIN,
                                   Code::COS,
                                   Code::SIGN,
                                   Code::FLOOR,
                                   Code::CEIL,
                                   Code::ROUND,
                                   Code::LOGICAL_NOT,
                                   Code::CUMSUM,
                                   Code::REVERSE_V2,
                                   Code::ZEROS_LIKE};
constexpr std::array kBroadcasting{
    Code::ADD,         Code::SUB,         Code::MUL,           Code::DIV,
    Code::FLOOR_DIV,   Code::FLOOR_MOD,   Code::POW,           Code::SQUARED_DIFFERENCE,
    Code::MAXIMUM,     Code::MINIMUM,     Code::PRELU,         Code::LESS,
    Code::LESS_EQUAL,  Code::GREATER,     Code::GREATER_EQUAL, Code::EQUAL,
    Code::NOT_EQUAL,   Code::LOGICAL_AND, Code::LOGICAL_OR,    Code::SELECT_V2,
    Code::BATCH_MATMUL};
constexpr std::array kKeepFirst{Code::CONV_2D,         Code::DEPTHWISE_CONV_2D,
                                Code::CONV_3D,         Code::AVERAGE_POOL_2D,
                                Code::MAX_POOL_2D,     Code::L2_POOL_2D,
                                Code::RESIZE_BILINEAR, Code::RESIZE_NEAREST_NEIGHBOR,
                                Code::TOPK_V2};
constexpr std::array kAlongAnAxis{
    Code::CONCATENATION, Code::PACK,    Code::SPLIT,  Code::SPLIT_V,
    Code::ARG_MAX,       Code::ARG_MIN, Code::GATHER, Code::UNIDIRECTIONAL_SEQUENCE_LSTM};
constexpr std::array kReducing{Code::MEAN,       Code::SUM,         Code::REDUCE_MAX,
                               Code::REDUCE_MIN, Code::REDUCE_PROD, Code::REDUCE_ANY,
                               Code::REDUCE_ALL};
constexpr std::array kPaddingCodes{Code::PAD, Code::PADV2, Code::MIRROR_PAD};

Rule rule_of(Code code) {
  const auto is_in = [&](const auto& codes) {
    return std::ranges::find(codes, code) != codes.end();
  };
  if (is_in(kKeepElements)) return Rule::kSameElements;
  if (is_in(kBroadcasting)) return Rule::kBroadcast;
  if (is_in(kKeepFirst)) return Rule::kFirstInput;
  if (is_in(kAlongAnAxis)) return Rule::kUnlessAxis;
  if (is_in(kReducing)) return Rule::kReduce;
  if (is_in(kPaddingCodes)) return Rule::kPad;
  switch (code) {
    case Code::TRANSPOSE_CONV:
    case Code::CONV_3D_TRANSPOSE:
      return Rule::kThirdInput;
    case Code::TILE:
      return Rule::kTile;
    case Code::SPACE_TO_BATCH_ND:
      return Rule::kSpaceToBatch;
    case Code::BATCH_TO_SPACE_ND:
      return Rule::kBatchToSpace;
    case Code::FULLY_CONNECTED:
      return Rule::kDense;
    case Code::SLICE:
      return Rule::kSlice;
    case Code::STRIDED_SLICE:
      return Rule::kStridedSlice;
    default:
      return Rule::kUnknown;
  }
}

class FirstExtent {
 public:
  FirstExtent(const Model::State& state, OperatorId id, const Tensor& output)
      : state_(state),
        op_(state.operators[index(id)]),
        source_(*state.subgraph->operators()->Get(static_cast<flatbuffers::uoffset_t>(index(id)))),
        output_(output) {}

  [[nodiscard]] Extent find() const {
    switch (rule_of(static_cast<Code>(op_.code))) {
      case Rule::kSameElements:
        return from_elements(0, 1, 1);
      case Rule::kFirstInput:
        return first(0);
      case Rule::kThirdInput:
        return first(2);
      case Rule::kBroadcast:
        return broadcast();
      case Rule::kUnlessAxis:
        return unless_axis();
      case Rule::kPad:
        return padded();
      case Rule::kReduce:
        return reduced();
      case Rule::kTile:
        return times(first(0), leading(1));
      case Rule::kSpaceToBatch:
        return times(first(0), block());
      case Rule::kBatchToSpace:
        return divided(first(0), block());
      case Rule::kDense:
        return dense();
      case Rule::kSlice:
        return sliced();
      case Rule::kStridedSlice:
        return sliced_with_masks();
      case Rule::kUnknown:
        break;
    }
    return std::nullopt;
  }

 private:
  static Extent times(Extent a, Extent b) {
    if (!a || !b || *b < 0 || *b > std::numeric_limits<std::int32_t>::max()) return std::nullopt;
    return *a * *b;
  }
  static Extent divided(Extent a, Extent b) {
    if (!a || !b || *b <= 0 || *a % *b != 0) return std::nullopt;
    return *a / *b;
  }

  [[nodiscard]] const Tensor* known(std::size_t input) const {
    if (input >= op_.inputs.size() || op_.inputs[input] < 0) return nullptr;
    const Tensor& tensor = state_.tensors[static_cast<std::size_t>(op_.inputs[input])];
    return tensor.is_shape_known ? &tensor : nullptr;
  }

  [[nodiscard]] Extent first(std::size_t input) const {
    const Tensor* tensor = known(input);
    if (tensor == nullptr || tensor->shape.empty()) return std::nullopt;
    return tensor->shape[0];
  }

  // Returns the numbers of a constant list.
  [[nodiscard]] std::optional<std::vector<std::int64_t>> numbers(std::size_t input) const {
    const Tensor* tensor = known(input);
    if (tensor == nullptr || !tensor->is_constant()) return std::nullopt;
    std::vector<std::int64_t> result;
    const auto read = [&]<typename Number>(Number number) {
      for (std::size_t at = 0; at + sizeof(Number) <= tensor->data.size(); at += sizeof(Number)) {
        std::memcpy(&number, tensor->data.data() + at, sizeof(Number));
        result.push_back(number);
      }
    };
    if (tensor->type == ElementType::kInt32) read(std::int32_t{});
    if (tensor->type == ElementType::kInt64) read(std::int64_t{});
    if (result.empty()) return std::nullopt;
    return result;
  }

  [[nodiscard]] Extent leading(std::size_t input) const {
    const auto list = numbers(input);
    return list ? Extent(list->front()) : std::nullopt;
  }

  // Returns the first extent of an output with `more` / `fewer` times as many elements as an input.
  [[nodiscard]] Extent from_elements(std::size_t input, std::uint64_t more,
                                     std::uint64_t fewer) const {
    const Tensor* tensor = known(input);
    if (tensor == nullptr) return std::nullopt;
    const auto elements = element_count(tensor->shape);
    const auto others = element_count(output_.shape.subspan(1));
    if (!elements || !others || fewer == 0 ||
        more > kMostElements / std::max<std::uint64_t>(*elements, 1))
      return std::nullopt;
    if (*elements % fewer != 0) return std::nullopt;
    const std::uint64_t result = *elements / fewer * more;
    if (*others == 0 || result % *others != 0) return std::nullopt;
    return static_cast<std::int64_t>(result / *others);
  }

  // Returns the first extent of a dense layer's output. The weights are [No, Ni].
  [[nodiscard]] Extent dense() const {
    const Tensor* weights = known(1);
    if (weights == nullptr || weights->shape.size() != 2) return std::nullopt;
    return from_elements(0, static_cast<std::uint64_t>(weights->shape[0]),
                         static_cast<std::uint64_t>(weights->shape[1]));
  }

  [[nodiscard]] Extent broadcast() const {
    constexpr std::size_t kMatrixRank = 2;  // whose two extents are multiplied, not broadcast
    const bool is_product = static_cast<Code>(op_.code) == Code::BATCH_MATMUL;
    if (is_product && output_.shape.size() <= kMatrixRank) return std::nullopt;
    std::int64_t largest = 1;
    for (std::size_t i = 0; i < op_.inputs.size(); ++i) {
      const Tensor* tensor = known(i);
      if (tensor == nullptr) return std::nullopt;
      if (tensor->shape.size() < output_.shape.size()) continue;
      if (tensor->shape[0] == 0) return std::nullopt;
      largest = std::max<std::int64_t>(largest, tensor->shape[0]);
    }
    return largest;
  }

  [[nodiscard]] Extent padded() const {
    const auto paddings = numbers(1);
    const Extent batch = first(0);
    if (!batch || !paddings || paddings->size() < 2) return std::nullopt;
    constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
    const std::int64_t before = (*paddings)[0];
    const std::int64_t after = (*paddings)[1];
    if (before < 0 || after < 0 || before > kMost || after > kMost) return std::nullopt;
    return *batch + before + after;
  }

  [[nodiscard]] Extent reduced() const {
    const auto axes = numbers(1);
    const Tensor* tensor = known(0);
    if (!axes || tensor == nullptr) return std::nullopt;
    const auto rank = static_cast<std::int64_t>(tensor->shape.size());
    const bool keeps_first =
        std::ranges::none_of(*axes, [&](std::int64_t axis) { return axis == 0 || axis == -rank; });
    return keeps_first ? first(0) : std::nullopt;
  }

  [[nodiscard]] Extent block() const {
    const auto list = numbers(1);
    if (!list) return std::nullopt;
    Extent product = 1;
    for (const std::int64_t extent : *list) {
      if (product > std::numeric_limits<std::int32_t>::max()) return std::nullopt;
      product = times(product, extent);
    }
    return product;
  }

  template <typename Options>
  static std::int64_t axis_of(const Options* options) {
    return options == nullptr ? 0 : options->axis();
  }

  struct Along {
    std::size_t input = 0;  // the input whose first extent is the result
    Extent axis;            // the axis that the operator works along
  };

  [[nodiscard]] Along along() const {
    switch (static_cast<Code>(op_.code)) {
      case Code::CONCATENATION:
        return {0, axis_of(source_.builtin_options_as_ConcatenationOptions())};
      case Code::PACK:
        return {0, axis_of(source_.builtin_options_as_PackOptions())};
      case Code::GATHER:
        return {0, axis_of(source_.builtin_options_as_GatherOptions())};
      case Code::SPLIT:
        return {1, leading(0)};
      case Code::SPLIT_V:
        return {0, leading(2)};
      case Code::ARG_MAX:
      case Code::ARG_MIN:
        return {0, leading(1)};
      default: {  // UNIDIRECTIONAL_SEQUENCE_LSTM: [N, T, C] or [T, N, C]
        const auto* options = source_.builtin_options_as_UnidirectionalSequenceLSTMOptions();
        return {0, options != nullptr && options->time_major() ? 0 : 1};
      }
    }
  }

  [[nodiscard]] Extent unless_axis() const {
    const auto [input, axis] = along();
    const Extent extent = first(input);
    if (!axis || !extent) return std::nullopt;
    // A negative axis counts from the end of the input. The axis of PACK is new, so it counts from
    // the end of the output.
    const bool is_new_axis = static_cast<Code>(op_.code) == Code::PACK;
    const std::size_t rank = is_new_axis ? output_.shape.size() : known(input)->shape.size();
    if (*axis == 0 || *axis == -static_cast<std::int64_t>(rank)) return std::nullopt;
    return extent;
  }

  // Handles only slices that take the whole first extent.
  [[nodiscard]] Extent sliced() const {
    constexpr std::int64_t kAll = -1;
    return leading(1) == Extent(0) && leading(2) == Extent(kAll) ? first(0) : std::nullopt;
  }

  [[nodiscard]] Extent sliced_with_masks() const {
    const auto* options = source_.builtin_options_as_StridedSliceOptions();
    if (options == nullptr || options->ellipsis_mask() != 0) return std::nullopt;
    const auto has_first = [](std::int32_t mask) { return (mask & 1) != 0; };
    const bool takes_all = has_first(options->begin_mask()) && has_first(options->end_mask()) &&
                           !has_first(options->new_axis_mask()) &&
                           !has_first(options->shrink_axis_mask());
    return takes_all && leading(3) == Extent(1) ? first(0) : std::nullopt;
  }

  const Model::State& state_;
  const Operator& op_;
  const tflite::Operator& source_;
  const Tensor& output_;
};

}  // namespace

std::optional<std::int32_t> first_extent(const Model::State& state, OperatorId id,
                                         const Tensor& output) {
  const Extent extent = FirstExtent(state, id, output).find();
  if (!extent || *extent < 0 || *extent > std::numeric_limits<std::int32_t>::max())
    return std::nullopt;
  return static_cast<std::int32_t>(*extent);
}

}  // namespace segue
