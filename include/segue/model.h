/// Quantized TensorFlow Lite models: read, validate, inspect and extract segments.
///
/// `read_model` maps a .tflite file into memory. Tensors and operators are views into the file, and
/// an extracted segment refers to the original weights, so that no weights are copied. The whole
/// file is validated before the first view exists. Code that uses a Model may therefore rely on
/// every index, shape and offset. The reader checks:
///  1. the flatbuffer: bounds, alignment, strings, nesting (identifier "TFL3", version 3);
///  2. that the file has no field, option table or enumerator that this reader does not know. Such
///     content would be lost in a segment, so it is refused by name (kUnsupported);
///  3. indices of tensors, buffers and operator codes, and sizes of constants against shapes;
///  4. execution order: each tensor is written once, by an operator that precedes its readers;
///  5. that the chosen subgraph is self-contained: none of its operators runs another subgraph
///     (control flow, composites), and no other subgraph uses its variables.
///
/// Example:
///
///     const segue::Model model = segue::read_model("mobilenet_v2.tflite");
///     for (std::size_t i = 0; i < model.operators().size(); ++i)
///       std::printf("%s\n", model.describe(segue::operator_id(i)).c_str());
///     const std::vector<segue::OperatorId> first{segue::operator_id(0), segue::operator_id(1)};
///     const std::vector<std::byte> file = segue::extract_segment(model, first).to_bytes();
///
/// Weights and options of custom operators may be stored after the flatbuffer and referenced by
/// offset. Such a file may be larger than 2 GB, but its flatbuffer may not. Weights in separate
/// files are refused by name.
///
/// Format: schema/tflite.fbs. Thread-safety: a Model is immutable; any number of threads may read
/// it. All functions are pure.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace [[gnu::visibility("default")]] segue {

// --- Identifiers and enumerations

/// Position of a tensor in the file.
enum class TensorId : std::uint32_t {};
/// Position of an operator in the file, which is its position in execution order.
enum class OperatorId : std::uint32_t {};

/// Conversions between positions and identifiers.
[[nodiscard]] constexpr TensorId tensor_id(std::integral auto position) {
  return TensorId{static_cast<std::uint32_t>(position)};
}
[[nodiscard]] constexpr OperatorId operator_id(std::integral auto position) {
  return OperatorId{static_cast<std::uint32_t>(position)};
}
[[nodiscard]] constexpr std::size_t index(TensorId id) { return static_cast<std::size_t>(id); }
[[nodiscard]] constexpr std::size_t index(OperatorId id) { return static_cast<std::size_t>(id); }

/// Element type of a tensor. Values are those of the file format; values that are not listed here
/// are legal too.
enum class ElementType : std::int8_t {
  kFloat32 = 0,
  kFloat16 = 1,
  kInt32 = 2,
  kUint8 = 3,
  kInt64 = 4,
  kString = 5,
  kInt16 = 7,
  kInt8 = 9,
  kResource = 13,
  kVariant = 14,
};
/// Returns the name that the file format gives to any of its types: "INT8".
[[nodiscard]] std::string_view to_string(ElementType type);

/// Type of an operator. Values are those of the file format. Only operators that Segue treats
/// specially are listed; every other value of the format is legal.
enum class OpCode : std::int32_t {
  kAdd = 0,
  kAveragePool2D = 1,
  kConcatenation = 2,
  kConv2D = 3,
  kDepthwiseConv2D = 4,
  kDequantize = 6,
  kFullyConnected = 9,
  kLogistic = 14,
  kMaxPool2D = 17,
  kMul = 18,
  kRelu = 19,
  kReshape = 22,
  kSoftmax = 25,
  kTanh = 28,
  kCustom = 32,
  kPad = 34,
  kTranspose = 39,
  kMean = 40,
  kSub = 41,
  kUnidirectionalSequenceLstm = 44,
  kStridedSlice = 45,
  kTransposeConv = 67,
  kPack = 83,
  kResizeNearestNeighbor = 97,
  kQuantize = 114,
  kHardSwish = 117,
  kVarHandle = 142,
};

// --- Tensors and operators

/// Affine quantization: real = scales[c] * (quantized - zero_points[c]). There is one entry per
/// tensor or one per slice c along `dimension`. Both spans are empty for tensors that are not
/// quantized.
struct Quantization {
  std::span<const float> scales;
  std::span<const std::int64_t> zero_points;
  std::int32_t dimension = 0;
};

/// A view of a tensor, valid as long as its Model.
struct Tensor {
  std::string_view name;  // as in the file; may be empty or not unique
  ElementType type{};
  std::span<const std::int32_t> shape;  // activations are [N, H, W, C], computed for N = 1
  // As in the file, with -1 for an extent known only at run time. Empty: every extent is known.
  std::span<const std::int32_t> shape_signature;
  // False: `shape` is a placeholder of the file, not the real shape (see check_static_shapes).
  bool is_shape_known = true;
  Quantization quantization;        // empty for tensors that are not quantized
  std::span<const std::byte> data;  // value of a constant; empty for computed tensors
  std::uint32_t buffer = 0;         // position of the buffer; tensors may share one
  std::uint64_t bytes = 0;          // size of one value; 0 when it is not fixed
  bool is_variable = false;         // keeps its value between invocations
  [[nodiscard]] bool is_constant() const { return !data.empty(); }
};

/// A view of an operator, valid as long as its Model.
struct Operator {
  OpCode code{};
  std::string_view name;                        // "CONV_2D", or the name of the custom operator
  std::int32_t version = 1;                     // of the operator's definition
  std::span<const std::int32_t> inputs;         // tensor positions; -1: absent optional input
  std::span<const std::int32_t> outputs;        // tensor positions
  std::span<const std::int32_t> intermediates;  // tensor positions; scratch of quantized LSTMs
  std::span<const std::byte> custom_data;       // options of a custom operator
};

/// Kernel size and strides of an operator, in elements of the feature map.
struct OperatorWindow {
  std::uint32_t height = 1;
  std::uint32_t width = 1;
  std::uint32_t stride_high = 1;
  std::uint32_t stride_wide = 1;
};

// --- Model

/// A validated model. Move-only; all views that it returns are valid as long as it lives.
class Model {
 public:
  struct State;  // defined by the reader
  Model(Model&& other) noexcept;
  Model& operator=(Model&& other) noexcept;
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;
  ~Model();

  /// File name without folder and ".tflite", or the name given to `parse_model`.
  [[nodiscard]] const std::string& name() const;
  /// The bytes of the whole file.
  [[nodiscard]] std::span<const std::byte> bytes() const;
  /// Releases the resident pages of a mapped file; later reads load them from the file again. For
  /// large models that are processed part by part. No effect for models held in memory.
  void drop_pages() const;
  /// Bytes that every runtime loads as this model. Usually `bytes()`. When the chosen subgraph is
  /// not the file's first, or when data is stored after the flatbuffer (which runtimes before
  /// TensorFlow 2.14 do not read), the first call builds a file with only that subgraph and all
  /// data inside, and keeps it. Throws Error(kUnsupported) when that file would exceed 2 GB.
  [[nodiscard]] std::span<const std::byte> runnable_bytes() const;
  /// The description in the file; may be empty.
  [[nodiscard]] std::string_view description() const;
  /// Tensors, operators (in execution order), inputs and outputs of the chosen subgraph.
  [[nodiscard]] std::span<const Tensor> tensors() const;
  [[nodiscard]] std::span<const Operator> operators() const;
  [[nodiscard]] std::span<const TensorId> inputs() const;
  [[nodiscard]] std::span<const TensorId> outputs() const;

  [[nodiscard]] const Tensor& tensor(TensorId id) const { return tensors()[index(id)]; }
  [[nodiscard]] const Operator& op(OperatorId id) const { return operators()[index(id)]; }

  /// Kernel and strides of a convolution or pooling operator. 1 x 1 with strides of 1 for all other
  /// operators. Values below 1 in a file count as 1.
  [[nodiscard]] OperatorWindow window(OperatorId id) const;

  /// The operator that writes a tensor; empty for model inputs and constants.
  [[nodiscard]] std::optional<OperatorId> producer(TensorId id) const;

  /// A name that no other tensor of this model has: the tensor's own name if it is unique and not
  /// empty, otherwise that name with "_tN" appended (N: its position). Segments exchange tensors by
  /// this name.
  [[nodiscard]] const std::string& unique_name(TensorId id) const;
  /// The tensor with this unique name; empty if there is none.
  [[nodiscard]] std::optional<TensorId> find_tensor(std::string_view unique_name) const;

  /// The operator's name in messages: "CONV_2D #12 'conv2_block1_1_relu'".
  [[nodiscard]] std::string describe(OperatorId id) const;

 private:
  friend class ModelReader;
  explicit Model(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

struct ReadOptions {
  std::string signature;  // key of the signature whose subgraph is read; empty: the only one
};

/// Maps and validates a file. Throws Error: kIo when it cannot be read, kInvalidModel when it is
/// damaged or not a .tflite file, kUnsupported when it has content that a segment could not
/// preserve or several signatures and no choice, kInvalidArgument for an unknown signature.
[[nodiscard]] Model read_model(const std::filesystem::path& path, const ReadOptions& options = {});

/// Validates a model in memory. Throws as read_model, except kIo.
[[nodiscard]] Model parse_model(std::vector<std::byte> bytes, std::string name,
                                const ReadOptions& options = {});

/// Returns the SHA-256 of `bytes` as 64 hexadecimal digits. Plans identify their model by it.
[[nodiscard]] std::string sha256(std::span<const std::byte> bytes);

// --- Segments

/// The inputs and outputs of a set of operators.
struct SegmentBorder {
  // Tensors that the set reads and does not write, without constants. Model inputs come first, in
  // the model's order; the others follow by tensor position.
  std::vector<TensorId> inputs;
  // Tensors that the set writes and that an operator outside reads or the model returns. Model
  // outputs come first, in the model's order; the others follow by tensor position.
  std::vector<TensorId> outputs;
};

/// Returns the border of `operators`, given in any order. O(operators + tensors) of the model.
[[nodiscard]] SegmentBorder segment_border(const Model& model,
                                           std::span<const OperatorId> operators);

/// Returns whether one of the operators keeps a value from one input to the next, in a variable
/// tensor or a resource, as LSTMs do. A segment with it must get all inputs in order, so it cannot
/// have replicas. O(operands of the operators).
[[nodiscard]] bool keeps_state(const Model& model, std::span<const OperatorId> operators);

/// A .tflite file as a sequence of pieces. It owns the bytes of the structure, and its weights are
/// views into the source model, which must outlive it. Write it with StagedFiles::stage.
class ModelImage {
 public:
  [[nodiscard]] std::uint64_t size_bytes() const;
  [[nodiscard]] std::span<const std::span<const std::byte>> pieces() const { return pieces_; }
  /// Returns the file as one array. Copies the weights.
  [[nodiscard]] std::vector<std::byte> to_bytes() const;

 private:
  friend class ImageWriter;
  std::vector<std::byte> structure_;
  std::vector<std::span<const std::byte>> pieces_;
};

/// Extracts operators as a valid model.
///
/// Preserved: types, quantization, operator versions and options, file order, signatures (their
/// keys, and the names of the inputs and outputs that remain) and metadata. Each tensor gets its
/// unique name of the whole model. Tensors and buffers that only other operators use are left out.
///
/// Changed: shapes are those for a batch of 1, without a signature. Weights and options are inside
/// the flatbuffer. References to debug metadata of the whole model are cleared. "TFLITE_METADATA",
/// which describes the model's inputs and outputs, is kept only if these are unchanged. Attached
/// files (labels) are kept only if the set computes a model output.
///
/// Throws Error(kInvalidArgument) when the set is empty, has duplicates or is not convex. Throws
/// Error(kUnsupported) as check_static_shapes, and when a variable tensor or a resource
/// (VAR_HANDLE, hash tables) would be shared with an operator outside the set, when no operator of
/// the model computes one of its outputs, when no tensor that the set computes is used outside, or
/// when the file would exceed 2 GB.
[[nodiscard]] ModelImage extract_segment(const Model& model, std::span<const OperatorId> operators);

/// Returns a copy of `model` with additional outputs: those of `tensors` that an operator writes
/// and that are not outputs already, after the model's outputs. It makes intermediate tensors
/// visible in any runtime.
[[nodiscard]] ModelImage expose_tensors(const Model& model, std::span<const TensorId> tensors);

/// Returns whether two operators have the same code, version and options. Tensors are not compared.
/// Options are compared bytewise, so that a NaN equals itself.
[[nodiscard]] bool same_operation(const Model& a, OperatorId in_a, const Model& b, OperatorId in_b);

// --- Compiled models

/// Returns whether the operator is a program of edgetpu_compiler ("edgetpu-custom-op").
[[nodiscard]] bool is_compiled_program(const Operator& op);

/// Returns whether the model contains such a program.
[[nodiscard]] bool is_compiled(const Model& model);

/// Role of a program in a file of edgetpu_compiler.
enum class ExecutableType : std::int16_t {
  kStandAlone = 0,        // receives its parameters at every inference
  kParameterCaching = 1,  // loads the cached parameters once
  kExecutionOnly = 2,     // uses the cached parameters and streams the others
};
/// Sizes of one program in a compiled file.
struct CompiledExecutable {
  OperatorId op{};                          // the edgetpu-custom-op that contains it
  ExecutableType type{};                    // its role
  std::uint64_t parameter_bytes = 0;        // cached by kParameterCaching, otherwise streamed
  std::uint64_t instruction_bytes = 0;      // all instruction streams, sent with each run
  std::uint64_t scratch_bytes = 0;          // in host memory, for data that does not fit on chip
  std::uint64_t narrow_bytes_per_tile = 0;  // activation memory used in each of the 16 tiles
};

/// Returns the programs of a compiled model in file order; empty for other models. Throws
/// Error(kInvalidModel) when a compiled operator cannot be decoded.
[[nodiscard]] std::vector<CompiledExecutable> compiled_executables(const Model& model);

/// Throws Error(kUnsupported) for a model compiled for the Edge TPU or Ethos-U, because a program
/// cannot be partitioned.
void check_not_compiled(const Model& model);

// --- Shapes and metadata

/// Returns the model inputs whose first extent, the batch, is -1 in the file. Segue uses a batch of
/// 1 and computes the shapes of all dependent tensors for it.
[[nodiscard]] std::vector<TensorId> open_batch_inputs(const Model& model);

/// Throws Error(kUnsupported) when the shape of a tensor is known only at run time, even for a
/// batch of 1, because every predicted number would be wrong. The message names the tensor, its
/// signature, the operator that determines its shape, and what to do.
void check_static_shapes(const Model& model);

/// Returns the names of the files in the zip archive that follows the model, which tools use to
/// attach labels. Empty if there is no archive, or none that segments can preserve.
[[nodiscard]] std::vector<std::string> attached_files(const Model& model);

/// Returns whether the model has "TFLITE_METADATA", which describes the inputs and outputs of the
/// whole model. Segments with other inputs or outputs do not keep it.
[[nodiscard]] bool has_interface_metadata(const Model& model);

}  // namespace segue
