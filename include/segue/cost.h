/// The cost of a segment on a device: parameter memory, time of one inference, and uncertainty.
///
/// A `Compiler` reports which parameters of a segment are cached on chip and which the host streams
/// at every inference. `simulate_segment` computes the time of one inference from that report.
/// `time_range` gives the interval in which a measurement is likely to lie. Segue's compiler and
/// times are simulated; toolchain.h provides a `Compiler` that runs edgetpu_compiler.
///
/// Example:
///
///     const segue::Model model = segue::read_model("resnet50.tflite");
///     const segue::Graph graph(model);
///     const segue::DeviceSpec& device = segue::find_device("edgetpu-usb3");
///     const std::vector<segue::OperatorId> all = graph.operators_between(1, graph.depth());
///     const auto memory = segue::make_simulated_compiler(device)->compile(graph, all);
///     const segue::SegmentTime time = segue::simulate_segment(graph, all, memory, device);
///     std::printf("%s, %s streamed\n", segue::format_time(time.total()).c_str(),
///                 segue::format_bytes(memory.host_bytes).c_str());
///
/// Formulas, evidence and known deviations: docs/cost-model.md. Errors on measurements that no
/// constant was fitted to: docs/accuracy.md. The constants are in DeviceSpec, each with its source.
///
/// Thread-safety: all functions are pure. The methods of `Compiler` may be called concurrently.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "segue/device.h"
#include "segue/graph.h"
#include "segue/model.h"
#include "segue/units.h"

namespace [[gnu::visibility("default")]] segue {

// --- Parameter memory

/// Where the parameters of an operator are stored at run time.
enum class Residency {
  kNone,      // it has no parameters, or they are part of the program
  kCached,    // on chip
  kStreamed,  // sent at every inference, because no memory was left
  kUncached,  // sent at every inference, because parameters of this kind are never cached
  kOnHost,    // the host's processor runs the operator
};

/// The parameters of one operator.
struct OperatorMemory {
  OperatorId op{};
  Residency residency = Residency::kNone;
  std::uint64_t bytes = 0;  // on chip or streamed, padded as the device stores them
};

/// A compiler's report on one segment. The quoted texts are the lines of edgetpu_compiler's log.
struct MemoryReport {
  std::uint64_t on_chip_bytes = 0;  // "On-chip memory used for caching model parameters"
  std::uint64_t host_bytes = 0;  // "Off-chip memory used for streaming uncached model parameters"
  std::uint64_t capacity_bytes = 0;       // memory for parameters in this segment
  std::vector<OperatorMemory> operators;  // in file order; empty if only totals are known
  std::string compiler;                   // its version; empty: the simulated compiler
  // Operators that the compiler left to the host, in file order. Not set: those that
  // operators_on_host computes.
  std::optional<std::vector<OperatorId>> host_operators = std::nullopt;
};

/// Decides where the parameters of a segment are stored. Implementations are the simulated compiler
/// (make_simulated_compiler) and Google's (make_edgetpu_compiler in toolchain.h). Strategies use
/// this interface and do not depend on which one they get.
class Compiler {
 public:
  Compiler() = default;
  Compiler(const Compiler&) = delete;
  Compiler& operator=(const Compiler&) = delete;
  virtual ~Compiler() = default;

  /// Reports on a convex set of operators, in file order, as one segment. Thread-safe.
  [[nodiscard]] virtual MemoryReport compile(const Graph& graph,
                                             std::span<const OperatorId> operators) const = 0;

  /// The sums of a MemoryReport.
  struct Totals {
    std::uint64_t on_chip_bytes = 0;
    std::uint64_t host_bytes = 0;
  };
  /// Returns only the totals of `compile`. Searches call it thousands of times, so implementations
  /// may compute it faster. Thread-safe.
  [[nodiscard]] virtual Totals totals(const Graph& graph,
                                      std::span<const OperatorId> operators) const {
    const MemoryReport report = compile(graph, operators);
    return {report.on_chip_bytes, report.host_bytes};
  }

  /// Returns the host bytes of the operators with first <= depth <= last, equal to those of
  /// `totals`. For searches over horizontal cuts.
  using DepthHostBytes = std::function<std::uint64_t(std::uint32_t first, std::uint32_t last)>;
  /// Makes such a function for one graph. The function refers to the graph and the compiler, and is
  /// for one thread.
  [[nodiscard]] virtual DepthHostBytes depth_host_bytes(const Graph& graph) const {
    return [this, &graph](std::uint32_t first, std::uint32_t last) {
      return totals(graph, graph.operators_between(first, last)).host_bytes;
    };
  }
};

// --- Operators on the host

/// Why Google's compiler does not map an operator to the Edge TPU, independent of its neighbours.
/// Sources: coral.ai/docs/edgetpu/models-intro, "Model requirements" and "Supported operations".
enum class HostCause {
  kNone,        // the device runs it
  kOperation,   // unsupported operation
  kVersion,     // operator version newer than TensorFlow 2.5, the base of edgetpu_compiler 16
  kType,        // an activation that is neither int8 nor uint8
  kBatch,       // a batch size above 1
  kDimensions,  // an extent above 1 outside the three innermost dimensions
  kWeights,     // weights that are computed at run time
  kSoftmax,     // a SOFTMAX of more than 16,000 elements
};
/// Returns the first cause that applies to an operator.
[[nodiscard]] HostCause host_cause(const Model& model, OperatorId id);

/// The cause in words: what is unsupported, with the values, and what to do. Empty for kNone.
struct HostReason {
  std::string reason;
  std::string remedy;
};
[[nodiscard]] HostReason host_reason(const Model& model, OperatorId id);

/// Returns whether host_cause is kNone.
[[nodiscard]] bool is_supported_on_device(const Model& model, OperatorId id);

/// Returns the operators of a segment that the host's processor runs, in file order. These are the
/// unsupported ones, and every operator that depends on one of them once the device has started,
/// because a compiled segment has a single part for the device. O(k) for k operators if all are
/// supported, otherwise O(operators of the model).
[[nodiscard]] std::vector<OperatorId> operators_on_host(const Graph& graph,
                                                        std::span<const OperatorId> operators);

/// Returns `report.host_operators` if set, otherwise the operators of the function above.
[[nodiscard]] std::vector<OperatorId> operators_on_host(const Graph& graph,
                                                        std::span<const OperatorId> operators,
                                                        const MemoryReport& report);

/// Returns, by operator position, whether the operator runs on the host in some segment: it is
/// unsupported or depends on an operator that is. O(operators + edges).
[[nodiscard]] std::vector<bool> possible_host_operators(const Graph& graph);

/// Throws Error(kUnsupported) when no plan can be made for a model: it is already compiled, has
/// shapes that are known only at run time, or has no operator that the device supports. The message
/// names the operator or tensor and says how to convert the model.
void check_can_be_planned(const Model& model, const DeviceSpec& device);

// --- The simulated compiler

/// Size of the parameters of one operator as the device stores them, on chip and on the link.
struct ParameterFootprint {
  std::uint64_t bytes = 0;  // 0: it has no parameters, or they are part of the program
  bool is_cacheable = true;
};

/// Returns the footprint of an operator's parameters. Stored outputs are P(n) = 4 for n = 1, n
/// rounded up to a multiple of 16 below 64 and of 64 above; b = 8 for weights with one scale per
/// output, plus 4 for a bias that is not all zeros:
///
///     CONV_2D, TRANSPOSE_CONV  P(Co) (4 ceil(Ci/4) kh kw + b)
///     DEPTHWISE_CONV_2D        8 ceil(C/8) (4 kh kw + b)
///     FULLY_CONNECTED          P(No) (4 ceil(Ni/4) + b)
///     recurrent layers         P(No) 4 ceil(Ni/4) for each matrix
///     other constants          as stored; 16 times that for one value per channel
///
/// Other constants are never cached. A dense layer after a flattened map is not cached when 64 of
/// its outputs take more than `flatten_rows` rows of 64 bytes.
///
/// The first three rows agree within 1.3 % with 35 published files of compilers 1.0 to 16, and
/// exactly with most of them. The last two are less certain (docs/cost-model.md, "Bytes of a
/// layer"). O(inputs + outputs) of the operator.
[[nodiscard]] ParameterFootprint parameter_footprint(const Model& model, OperatorId id,
                                                     const DeviceSpec& device);

/// Rows of the wide memory that an operator reserves in every tile while it runs.
struct ReservedRows {
  std::uint32_t inside = 0;    // if all its activations are computed in the segment
  std::uint32_t at_input = 0;  // if it reads an activation from the host; at least `inside`
};

/// Returns the smaller requirement of two schedules: either all weights of 64 outputs twice, or
/// slices of them twice plus a 32-bit sum for each output and pixel of the fullest tile. Pools
/// whose window crosses the edge of the map, and constants per channel, have their own terms
/// (docs/cost-model.md, "Capacity"). O(1).
[[nodiscard]] ReservedRows reserved_rows(const Model& model, OperatorId id,
                                         const DeviceSpec& device);

/// Returns the memory for parameters, in bytes, of a segment whose largest layer reserves `rows`
/// rows. Fewer than `least_reserved_rows` count as `least_reserved_rows`.
[[nodiscard]] std::uint64_t parameter_capacity(const ParameterMemory& memory, std::uint32_t rows);

/// Makes the simulated compiler of a device (DeviceModel::compiler).
///
/// That of an Edge TPU caches or streams the parameters of each operator as a whole. Operators of
/// up to `small_layer_bytes` come first; the others follow by ascending size of the output map,
/// which is how often a weight is used per inference, and then by descending size of the
/// parameters. An operator that does not fit is skipped. Evidence: docs/cost-model.md, "Order".
/// `compile` takes O(n log n) for n operators. `depth_host_bytes` uses sums over depths, and calls
/// `compile` only for ranges that contain unsupported operators.
[[nodiscard]] std::unique_ptr<Compiler> make_simulated_compiler(const DeviceSpec& device);

// --- Time of one inference

/// Work of one operator on the device, independent of its segment.
struct OperatorWork {
  std::uint64_t cycles = 0;     // of the array; 0 for operators that only rename a tensor
  std::uint32_t crossings = 1;  // times that its streamed parameters cross the link per inference
  std::uint64_t instruction_bytes = 0;  // its part of the segment's program
};

/// Returns the cycles, link crossings and instruction bytes of an operator.
///
/// Sixteen tiles share the height and width of a map [1, H, W, C]; each multiplies 4 inputs by 64
/// outputs per cycle, and reads or writes one word of 4 channels per cycle. The cycles are those of
/// the fullest tile, with p = ceil(H/4) ceil(W/4) output pixels, w = p ceil(C/4) output words and
/// [o x i] = ceil(o/64) ceil(i/4), plus `operator_cycles` for each operator:
///
///     CONV_2D                   p [Co x Ci] kh kw + tap_cycles * words read from neighbour tiles
///     TRANSPOSE_CONV            p of the input [Co x Ci] kh kw + w
///     FULLY_CONNECTED           vectors [No x Ni], in one tile
///     DEPTHWISE_CONV_2D, pools  tap_cycles * kh kw w; a kernel of one row: tap_cycles * w
///     ADD, MUL, SUB, ...        w: the second operand
///     MEAN, SUM, ...            w of the input
///     SOFTMAX                   softmax_cycles per element
///     RESHAPE, ...              0, without operator_cycles
///     others                    2 w: read and written
///
/// Parameters cross the link once if the input and output of the operator fit in the tiles.
/// Otherwise the map is computed in strips of rows, and the weights cross the link again for the
/// strips. Instruction bytes are a fit to published compiled files. docs/cost-model.md, "The array"
/// and "One inference of a segment", has the evidence for each row.
[[nodiscard]] OperatorWork operator_work(const Model& model, OperatorId id,
                                         const DeviceSpec& device);

/// Returns the time of an operator on the host's processor: a fixed overhead plus the larger of
/// arithmetic time and memory time, on one core with the builtin kernels of TensorFlow Lite. It is
/// an estimate by kind of work (HostCompute) unless `HostCompute::measured` has the operator.
[[nodiscard]] Nanoseconds host_operator_time(const Graph& graph, OperatorId id,
                                             const DeviceSpec& device);

/// The time of one inference of a segment, by cause.
struct SegmentTime {
  Nanoseconds fixed{0};      // request, interrupt, driver
  Nanoseconds input{0};      // instructions (USB) and activations to the device
  Nanoseconds compute{0};    // the array
  Nanoseconds streaming{0};  // parameters from the host, without the part hidden by computation
  Nanoseconds output{0};     // activations from the device and their re-layout by the host
  Nanoseconds host{0};       // operators on the host's processor
  // Further use of the link, for devices that share one. `hidden_streaming` is the streaming during
  // `compute`; `output_on_link` is the part of `output` on the link, without the re-layout.
  Nanoseconds hidden_streaming{0};
  Nanoseconds output_on_link{0};
  std::uint64_t cycles = 0;          // of the array, all operators
  std::uint32_t host_operators = 0;  // number of operators in `host`
  /// From the host's call to its result, on an idle host and link.
  [[nodiscard]] Nanoseconds total() const {
    return fixed + input + compute + streaming + output + host;
  }
  /// Time for which the link is busy during one inference.
  [[nodiscard]] Nanoseconds link() const {
    return input + streaming + hidden_streaming + output_on_link;
  }
  friend bool operator==(const SegmentTime&, const SegmentTime&) = default;
};

/// Returns the time of one inference of a convex set of operators, in file order
/// (DeviceModel::time). `memory` is the report of any compiler; on an Edge TPU it determines which
/// parameters stream and which operators run on the host. If the report has only totals, its host
/// bytes cross the link once. O(k log k) for k operators.
[[nodiscard]] SegmentTime simulate_segment(const Graph& graph,
                                           std::span<const OperatorId> operators,
                                           const MemoryReport& memory, const DeviceSpec& device);

/// Returns the latency that a pipeline adds when it hands an input to the next stage: `hop_ns`
/// times `host_slowdown`. Stages hand over concurrently, so the hop does not limit throughput.
[[nodiscard]] Nanoseconds runner_hop(const Timing& timing);
/// Returns the largest hop of the pools.
[[nodiscard]] Nanoseconds runner_hop(std::span<const DevicePool> pools);

/// Returns the cores of the host that the devices share: the smallest `HostCompute::cores`.
[[nodiscard]] std::uint32_t host_cores(std::span<const DevicePool> pools);

/// Returns 10^12 operations per second: 2 * MACs / time, as the paper counts them.
[[nodiscard]] double tera_operations_per_s(std::uint64_t macs, Nanoseconds time);

// --- Uncertainty
//
// A range is the predicted time multiplied by a low and a high factor (measured / simulated) of its
// kind of segment. The factors are the 5 % and 95 % quantiles of measured rows that no constant was
// fitted to, widened by 0.02. No distribution is assumed. Rows of one network are not independent,
// so "nine in ten" describes these rows and is not a guarantee. docs/accuracy.md, "How sure", has
// the factors, the rows, and a cross-validation by series.

/// An interval that contains the predicted time and about nine measurements in ten.
struct TimeRange {
  Nanoseconds low{0};
  Nanoseconds high{0};
  friend bool operator==(const TimeRange&, const TimeRange&) = default;
};

/// Returns whether two ranges have a time in common, so that a measurement may reverse the order of
/// the two predictions. Two plans of one model on the same devices share part of their errors,
/// which this test ignores: it is true too often rather than too rarely.
[[nodiscard]] constexpr bool overlap(const TimeRange& a, const TimeRange& b) {
  return a.low <= b.high && b.low <= a.high;
}

/// The dominant cause of a segment's time on the device; the first that applies.
enum class SegmentKind {
  kStreaming,     // streaming of parameters takes more than 40 % of the time on the device
  kConvolutions,  // more than 60 % of the cycles are products of CONV_2D
  kDense,         // dense layers, and otherwise only element-wise operators
  kSmall,         // all others: small, depthwise, many operators
};
/// "streaming", "large convolutions", "dense", "small".
[[nodiscard]] std::string_view to_string(SegmentKind kind);

/// How well the constants of a device describe the host it is used with.
enum class HostKnowledge {
  kMeasured,  // measured on this host (`segue calibrate`)
  kTypical,   // measured on another desktop computer
  kUnknown,   // inferred: Dev Board, Raspberry Pi, USB 2, device files that slow the host down
};
/// "measured", "typical", "unknown".
[[nodiscard]] std::string_view to_string(HostKnowledge knowledge);
/// Returns kMeasured if the device has a calibration, otherwise kUnknown or kTypical by
/// `is_host_unknown`.
[[nodiscard]] HostKnowledge host_knowledge(const DeviceSpec& device);

/// Bounds of measured / simulated: `low` is at most 1, `high` at least 1.
struct ErrorFactors {
  double low = 1;
  double high = 1;
};
/// Returns the factors of a kind of segment (table in docs/accuracy.md, "How sure").
[[nodiscard]] ErrorFactors error_factors(SegmentKind kind, HostKnowledge knowledge);
/// Returns the factors for this device, no narrower than the error of its own calibration.
[[nodiscard]] ErrorFactors error_factors(SegmentKind kind, const DeviceSpec& device);

/// Factors of operators on the host's processor that were not measured. Rates are means over kinds
/// of work, and a single operator may be off by a factor of three (docs/cost-model.md, "What the
/// host computes").
inline constexpr ErrorFactors kHostOperatorFactors{1.0 / 3, 3.0};

/// Returns the kind of a segment. `time` is the result of simulate_segment for the same `memory`,
/// whose operators on the host are not counted. O(operators).
[[nodiscard]] SegmentKind segment_kind(const Graph& graph, std::span<const OperatorId> operators,
                                       const SegmentTime& time, const DeviceSpec& device,
                                       const MemoryReport& memory = {});

/// Returns the range of a segment's total time on an Edge TPU with an idle host. The part on the
/// device has the factors of its kind. Operators on the host have kHostOperatorFactors, or the
/// factors of the segment if they were measured on this machine (HostCompute::measured). At the
/// high end of an unknown host, its share of the output also takes as long as on a busy host
/// (kMostHostStretch, or the device's `busy_stretch` if larger). O(operators).
[[nodiscard]] TimeRange time_range(const Graph& graph, std::span<const OperatorId> operators,
                                   const SegmentTime& time, const DeviceSpec& device,
                                   const MemoryReport& memory = {});

// --- Kinds of devices

/// The laws of one kind of accelerator. The library has one implementation, the Edge TPU's
/// (edgetpu_model). Another kind derives from it; planners, plans, timelines and proofs then use it
/// through DeviceSpec::model. Tables of operators and of the host show the Edge TPU's laws only.
///
///     class SwappingModel : public segue::DeviceModel { ... };  // tests/extension_test.cc
///     const SwappingModel swapping;
///     segue::DeviceSpec device = segue::find_device("edgetpu-pcie");  // its link and host
///     device.name = "swapping";
///     device.model = &swapping;
///
/// Implementations have no state: constants are in the DeviceSpec that is passed in.
/// All methods are thread-safe.
class DeviceModel {
 public:
  DeviceModel() = default;
  DeviceModel(const DeviceModel&) = delete;
  DeviceModel& operator=(const DeviceModel&) = delete;
  virtual ~DeviceModel() = default;

  /// Whether the device runs an operator, independent of its neighbours.
  [[nodiscard]] virtual bool supports(const Model& model, OperatorId id) const = 0;

  /// Makes the compiler that decides where the parameters of segments are stored. It keeps a copy
  /// of `device`.
  [[nodiscard]] virtual std::unique_ptr<Compiler> compiler(const DeviceSpec& device) const = 0;

  /// Returns the time of one inference of a convex set of operators, in file order. `memory` is a
  /// report of `compiler`.
  [[nodiscard]] virtual SegmentTime time(const Graph& graph, std::span<const OperatorId> operators,
                                         const MemoryReport& memory,
                                         const DeviceSpec& device) const = 0;

  /// Returns a lower bound of the time that an operator adds to any segment. The sum over the
  /// operators of a segment must not exceed the segment's time. Searches skip segments that these
  /// sums rule out. The default, 0, rules out none.
  [[nodiscard]] virtual Nanoseconds least_time(const Graph& graph, OperatorId id,
                                               const DeviceSpec& device) const;

  /// Returns the range of a segment's time. The default is not set: no error is known.
  [[nodiscard]] virtual std::optional<TimeRange> range(const Graph& graph,
                                                       std::span<const OperatorId> operators,
                                                       const SegmentTime& time,
                                                       const DeviceSpec& device,
                                                       const MemoryReport& memory) const;
};

/// Returns the part of a segment's output time that the host takes for re-layout, without the link.
/// O(1).
[[nodiscard]] Nanoseconds host_share_of_output(const SegmentTime& time, const DeviceSpec& device);

}  // namespace segue
