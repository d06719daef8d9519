/// A quantized .tflite model: read, verified, viewed, and cut into smaller valid models.
///
/// The file stays memory-mapped; tensors and operators are views into it, and cutting a model
/// never copies its weights. Everything is checked before the first view exists, so code behind
/// this header may trust every index, shape and offset:
///  1. the flatbuffer itself: bounds, alignment, strings, nesting (identifier "TFL3", version 3);
///  2. no field, option table or enumerator that this reader does not know: it would be lost when
///     a segment is written, so it is refused by name (kUnsupported);
///  3. indices of tensors, buffers and operator codes; constant sizes against shapes;
///  4. execution order: each tensor is written once, by an operator that stands before its readers.
///  5. the chosen subgraph stands alone: no operator of it runs another subgraph (control flow,
///     composites) and no other subgraph uses its variables.
/// Weights and options of custom operators may lie behind the flatbuffer, by offset: such a file
/// may be larger than 2 GB, its flatbuffer may not. Weights in other files are refused by name.
///
/// Format: schema/tflite.fbs. Thread-safety: a Model is immutable; concurrent reads are safe.
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

/// Position of a tensor in the file.
enum class TensorId : std::uint32_t {};
/// Position of an operator in the file, which is its position in execution order.
enum class OperatorId : std::uint32_t {};

[[nodiscard]] constexpr TensorId tensor_id(std::integral auto position) {
  return TensorId{static_cast<std::uint32_t>(position)};
}
[[nodiscard]] constexpr OperatorId operator_id(std::integral auto position) {
  return OperatorId{static_cast<std::uint32_t>(position)};
}
[[nodiscard]] constexpr std::size_t index(TensorId id) { return static_cast<std::size_t>(id); }
[[nodiscard]] constexpr std::size_t index(OperatorId id) { return static_cast<std::size_t>(id); }

/// Element type of a tensor; numbers are those of the file format.
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
  // Every other value of the format is legal too; `to_string` names it.
};
[[nodiscard]] std::string_view to_string(ElementType type);

/// What an operator computes; numbers are those of the file format. Only the operators that some
/// layer treats specially are listed; any other value of the format is legal.
enum class OpCode : std::int32_t {
  kAdd = 0,
  kAveragePool2D = 1,
  kConcatenation = 2,
  kConv2D = 3,
  kDepthwiseConv2D = 4,
  kFullyConnected = 9,
  kMaxPool2D = 17,
  kMul = 18,
  kRelu = 19,
  kReshape = 22,
  kSoftmax = 25,
  kTanh = 28,
  kCustom = 32,
  kPad = 34,
  kMean = 40,
  kSub = 41,
  kUnidirectionalSequenceLstm = 44,
  kStridedSlice = 45,
  kTransposeConv = 67,
  kQuantize = 114,
  kVarHandle = 142,
};

/// real = scales[c] * (quantized - zero_points[c]); one entry per tensor or per slice along
/// `dimension`. Empty for tensors that are not quantized.
struct Quantization {
  std::span<const float> scales;
  std::span<const std::int64_t> zero_points;
  std::int32_t dimension = 0;
};

struct Tensor {
  std::string_view name;                // as in the file; may be empty or not unique
  ElementType type{};                   // of each element
  std::span<const std::int32_t> shape;  // activations are [N, H, W, C]; for a batch of 1
  // As in the file: -1 where an extent is known at run time only. Empty: every extent is known.
  std::span<const std::int32_t> shape_signature;
  // Where not, `shape` is only what the file holds in its place; see check_static_shapes.
  bool is_shape_known = true;
  Quantization quantization;        // without scales for tensors that are not quantized
  std::span<const std::byte> data;  // constant value; empty when computed at run time
  std::uint32_t buffer = 0;         // tensors that share a buffer share its bytes
  std::uint64_t bytes = 0;          // size of one value of this tensor; 0 when not fixed
  bool is_variable = false;         // keeps its value between invocations
  [[nodiscard]] bool is_constant() const { return !data.empty(); }
};

struct Operator {
  OpCode code{};
  std::string_view name;                        // "CONV_2D", or the custom operator's own name
  std::int32_t version = 1;                     // of the operator's definition
  std::span<const std::int32_t> inputs;         // tensor positions; -1: an optional input is absent
  std::span<const std::int32_t> outputs;        // tensor positions
  std::span<const std::int32_t> intermediates;  // tensor positions: scratch of quantized LSTMs
  std::span<const std::byte> custom_data;       // options of a custom operator
};

/// How far an operator's kernel reaches over a map, and by how much it moves.
struct OperatorWindow {
  std::uint32_t height = 1;
  std::uint32_t width = 1;
  std::uint32_t stride_high = 1;
  std::uint32_t stride_wide = 1;
};

class Model {
 public:
  struct State;  // defined by the reader
  Model(Model&& other) noexcept;
  Model& operator=(Model&& other) noexcept;
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;
  ~Model();

  /// File name without folder and ".tflite", or the zoo name.
  [[nodiscard]] const std::string& name() const;
  /// The whole file.
  [[nodiscard]] std::span<const std::byte> bytes() const;
  /// Gives the memory of a mapped file back to the system: what is read again comes from the file.
  /// For large models of which a part at a time is looked at. Does nothing for models in memory.
  void drop_pages() const;
  /// What any runtime loads as this model: `bytes()`, or, where another subgraph than the file's
  /// first was chosen or bytes lie behind the flatbuffer (runtimes before TensorFlow 2.14 do not
  /// look there), a file with that subgraph alone and all bytes inside, made by the first call and
  /// kept. Throws Error(kUnsupported) where that would exceed 2 GB.
  [[nodiscard]] std::span<const std::byte> runnable_bytes() const;
  [[nodiscard]] std::string_view description() const;
  [[nodiscard]] std::span<const Tensor> tensors() const;
  [[nodiscard]] std::span<const Operator> operators() const;
  [[nodiscard]] std::span<const TensorId> inputs() const;
  [[nodiscard]] std::span<const TensorId> outputs() const;

  [[nodiscard]] const Tensor& tensor(TensorId id) const { return tensors()[index(id)]; }
  [[nodiscard]] const Operator& op(OperatorId id) const { return operators()[index(id)]; }

  /// Kernel and strides of convolutions and pooling; 1 x 1 for every other operator, and where a
  /// file states something senseless.
  [[nodiscard]] OperatorWindow window(OperatorId id) const;

  /// The operator that writes a tensor; none for model inputs and constants.
  [[nodiscard]] std::optional<OperatorId> producer(TensorId id) const;

  /// A name that no other tensor of this model has: the tensor's own where that is unique and not
  /// empty, else with "_tN" (N: its position) appended. Segments exchange tensors by this name.
  [[nodiscard]] const std::string& unique_name(TensorId id) const;
  [[nodiscard]] std::optional<TensorId> find_tensor(std::string_view unique_name) const;

  /// "CONV_2D #12 'conv2_block1_1_relu'": an operator as messages name it.
  [[nodiscard]] std::string describe(OperatorId id) const;

 private:
  friend class ModelReader;
  explicit Model(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

struct ReadOptions {
  std::string signature;  // key of the signature whose subgraph is the model; empty: the only one
};

/// Maps and verifies a file. Throws Error: kIo when it cannot be read, kInvalidModel when it is
/// damaged or not a .tflite, kUnsupported when it holds what a segment could not keep or several
/// signatures of which none was chosen, kInvalidArgument for a signature that it does not have.
[[nodiscard]] Model read_model(const std::filesystem::path& path, const ReadOptions& options = {});

/// Verifies a model held in memory. Throws as read_model.
[[nodiscard]] Model parse_model(std::vector<std::byte> bytes, std::string name,
                                const ReadOptions& options = {});

/// SHA-256 of `bytes` as 64 hexadecimal digits.
[[nodiscard]] std::string sha256(std::span<const std::byte> bytes);

/// The tensors that cross the border of a set of operators.
struct SegmentBorder {
  // Read by the set, written outside it or given by the caller. Model inputs first, in the model's
  // order, then by tensor position.
  std::vector<TensorId> inputs;
  // Written by the set, read outside it or returned to the caller. Model outputs first, in the
  // model's order, then by tensor position.
  std::vector<TensorId> outputs;
};

/// Returns the border of `operators` (any order). O(operators and tensors of the model).
[[nodiscard]] SegmentBorder segment_border(const Model& model,
                                           std::span<const OperatorId> operators);

/// A .tflite file as pieces in order: own bytes for the structure, views into the source model for
/// the weights. The source model must outlive it.
class ModelImage {
 public:
  [[nodiscard]] std::uint64_t size_bytes() const;
  [[nodiscard]] std::span<const std::span<const std::byte>> pieces() const { return pieces_; }
  /// The file in one piece (copies the weights).
  [[nodiscard]] std::vector<std::byte> to_bytes() const;

 private:
  friend class ImageWriter;
  std::vector<std::byte> structure_;
  std::vector<std::span<const std::byte>> pieces_;
};

/// Makes a valid model of the given operators: same types, quantization, operator versions and
/// options; tensors and buffers that only others use are left out. Every tensor has its unique name
/// of the whole model, which is its own name wherever that was unique. Signatures keep their key
/// and the names of the inputs and outputs that remain. Metadata is kept, except "TFLITE_METADATA",
/// which describes the inputs and outputs of the whole model and is kept only when those are
/// unchanged. Attached files (labels) are kept where the set computes a model output. Shapes are
/// those for a batch of 1, without signature; weights and options lie inside the flatbuffer.
/// Operators stay in file order; references from operators and the subgraph to debug
/// metadata of the whole model are cleared. Throws Error(kInvalidArgument) when the set is empty,
/// has duplicates or is not convex, and Error(kUnsupported) as check_static_shapes, when a variable
/// tensor or a resource (VAR_HANDLE, hash tables) would be shared with an operator outside, no
/// operator computes a model output, nobody needs what the set computes, or the file would exceed
/// 2 GB.
[[nodiscard]] ModelImage extract_segment(const Model& model, std::span<const OperatorId> operators);

/// Returns a copy of `model` whose outputs are its own, then those of `tensors` that operators
/// write and that are none: for looking inside a model with any runtime.
[[nodiscard]] ModelImage expose_tensors(const Model& model, std::span<const TensorId> tensors);

/// Whether two operators compute the same function of their inputs: same code, version and options.
/// Their tensors are not compared. Options are compared by their bytes: a NaN equals itself.
[[nodiscard]] bool same_operation(const Model& a, OperatorId in_a, const Model& b, OperatorId in_b);

/// Whether it is a program of the Edge TPU compiler, which runs on the device as it is.
[[nodiscard]] bool is_compiled_program(const Operator& op);

/// Whether the model holds such a program.
[[nodiscard]] bool is_compiled(const Model& model);

/// One program inside a file compiled by Google's Edge TPU compiler.
enum class ExecutableType : std::int16_t {
  kStandAlone = 0,        // brings its parameters along at each inference
  kParameterCaching = 1,  // loads the cached parameters, once
  kExecutionOnly = 2,     // runs on cached parameters, streams the others
};
struct CompiledExecutable {
  OperatorId op{};                          // the edgetpu-custom-op that holds it
  ExecutableType type{};                    // when it runs, and where its parameters are
  std::uint64_t parameter_bytes = 0;        // cached for kParameterCaching, else streamed
  std::uint64_t instruction_bytes = 0;      // of all its instruction streams, sent with each run
  std::uint64_t scratch_bytes = 0;          // in the host's memory, for what the chip cannot hold
  std::uint64_t narrow_bytes_per_tile = 0;  // activation memory used in each of the 16 tiles
};

/// Returns the programs in a compiled model in file order; empty for a model that is not compiled.
/// Throws Error(kInvalidModel) when a compiled operator cannot be decoded.
[[nodiscard]] std::vector<CompiledExecutable> compiled_executables(const Model& model);

/// Throws Error(kUnsupported) for a compiled model (Edge TPU, Ethos-U): its program cannot be cut.
void check_not_compiled(const Model& model);

/// The model inputs whose first extent, the batch, the file leaves open (-1); it is taken as 1, and
/// the shapes of all tensors that follow from it are computed for that.
[[nodiscard]] std::vector<TensorId> open_batch_inputs(const Model& model);

/// Throws Error(kUnsupported) where the shape of a tensor is known at run time only, even for a
/// batch of 1: every number about it would be wrong. Names the tensor, its signature, the operator
/// that decides it, and what to do.
void check_static_shapes(const Model& model);

/// Names of the files in the archive (zip) behind the model, as tools attach labels; empty where
/// there is none that segments can keep.
[[nodiscard]] std::vector<std::string> attached_files(const Model& model);

/// Whether the model describes its inputs and outputs (metadata "TFLITE_METADATA"), which is true
/// of the whole model only, so that no segment keeps it.
[[nodiscard]] bool has_interface_metadata(const Model& model);

}  // namespace segue
