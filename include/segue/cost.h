/// What a segment costs on a device: the bytes that it keeps on chip and streams (Compiler), the
/// time of one inference (simulate_segment), and how sure that time is (TimeRange).
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

/// The memory oracle: which parameters of a segment stay in the Edge TPU, and which the host
/// streams at every inference.
///
/// Two things can answer: the simulated compiler below, and Google's own. Both sit behind
/// `Compiler`, so that the algorithms that cut models do not know which one they ask.
///
/// The law of the simulated compiler, its sources and what it does not explain: docs/cost-model.md.

/// Where the parameters of one operator are at run time.
enum class Residency {
  kNone,      // it has none, or they are part of the program
  kCached,    // on chip
  kStreamed,  // sent by the host at every inference: no room was left
  kUncached,  // sent by the host at every inference: never cached, whatever the room
  kOnHost,    // the operator does not run on the device at all
};

struct OperatorMemory {
  OperatorId op{};
  Residency residency = Residency::kNone;
  std::uint64_t bytes = 0;  // on chip or streamed, padded as the device wants it
};

/// What a compiler reports of one segment.
struct MemoryReport {
  std::uint64_t on_chip_bytes = 0;  // "On-chip memory used for caching model parameters"
  std::uint64_t host_bytes = 0;  // "Off-chip memory used for streaming uncached model parameters"
  std::uint64_t capacity_bytes = 0;       // for parameters, in this segment
  std::vector<OperatorMemory> operators;  // in file order; empty where only totals are known
  std::string compiler;                   // which one says so; empty: the simulated
  /// What the compiler left to the host's processor, in file order; none: operators_on_host.
  std::optional<std::vector<OperatorId>> host_operators = std::nullopt;
};

class Compiler {
 public:
  Compiler() = default;
  Compiler(const Compiler&) = delete;
  Compiler& operator=(const Compiler&) = delete;
  virtual ~Compiler() = default;

  /// Reports on a convex set of operators, given in file order, as one segment. Thread-safe.
  [[nodiscard]] virtual MemoryReport compile(const Graph& graph,
                                             std::span<const OperatorId> operators) const = 0;

  /// The totals alone: what searches ask thousands of times.
  struct Totals {
    std::uint64_t on_chip_bytes = 0;
    std::uint64_t host_bytes = 0;
  };
  [[nodiscard]] virtual Totals totals(const Graph& graph,
                                      std::span<const OperatorId> operators) const {
    const MemoryReport report = compile(graph, operators);
    return {report.on_chip_bytes, report.host_bytes};
  }

  /// The host bytes of the operators with first <= depth <= last, as `totals` gives them: what
  /// searches over horizontal cuts ask thousands of times about one graph. Refers to the graph and
  /// the compiler, and is for one thread.
  using DepthHostBytes = std::function<std::uint64_t(std::uint32_t first, std::uint32_t last)>;
  [[nodiscard]] virtual DepthHostBytes depth_host_bytes(const Graph& graph) const {
    return [this, &graph](std::uint32_t first, std::uint32_t last) {
      return totals(graph, graph.operators_between(first, last)).host_bytes;
    };
  }
};

/// Why Google's compiler leaves an operator to the host's processor, whatever stands around it.
/// Sources: coral.ai/docs/edgetpu/models-intro, "Model requirements" and "Supported operations".
enum class HostCause {
  kNone,        // the device computes it
  kOperation,   // no such operation
  kVersion,     // newer than TensorFlow 2.5, of which edgetpu_compiler 16 was built
  kType,        // an activation that is neither int8 nor uint8
  kBatch,       // a batch over 1
  kDimensions,  // an extent over 1 outside the three innermost dimensions
  kWeights,     // weights that are computed at run time
  kSoftmax,     // a softmax of more than 16,000 elements
};
[[nodiscard]] HostCause host_cause(const Model& model, OperatorId id);

/// The same in words: what is wrong, with the values, and what to do; both empty for kNone.
struct HostReason {
  std::string reason;
  std::string remedy;
};
[[nodiscard]] HostReason host_reason(const Model& model, OperatorId id);

/// Whether host_cause is kNone.
[[nodiscard]] bool is_supported_on_device(const Model& model, OperatorId id);

/// The operators of a segment that the host's processor computes, in file order: those the device
/// does not have, and whatever depends on one of them after the device has begun, since a compiled
/// segment has one part for the device. O(operators of the model) where there are any.
[[nodiscard]] std::vector<OperatorId> operators_on_host(const Graph& graph,
                                                        std::span<const OperatorId> operators);

/// The same as a compiler's report says it, where it does.
[[nodiscard]] std::vector<OperatorId> operators_on_host(const Graph& graph,
                                                        std::span<const OperatorId> operators,
                                                        const MemoryReport& report);

/// By position, whether an operator runs on the host in some segment: those the device does not
/// have, and whatever depends on one of them. O(operators + edges).
[[nodiscard]] std::vector<bool> possible_host_operators(const Graph& graph);

/// Throws Error(kUnsupported) for a model that no plan can be made for: one that is compiled
/// already, has shapes that are known at run time only, or has no operator that the device
/// computes. The message names the operator or tensor and says how to convert the model.
void check_can_be_planned(const Model& model);

/// Parameters of one operator as the device stores them, on chip or on the link.
struct ParameterFootprint {
  std::uint64_t bytes = 0;  // 0: it has none, or they are part of the program
  bool is_cacheable = true;
};

/// With P(n) = 4 for one output, n rounded up to 16 below 64 outputs and to 64 above, and b = 8 for
/// weights with a scale per output plus 4 for a bias that is not all zeros:
///   CONV_2D, TRANSPOSE_CONV  P(Co) (4 ceil(Ci/4) kh kw + b)
///   DEPTHWISE_CONV_2D        8 ceil(C/8) (4 kh kw + b)
///   FULLY_CONNECTED          P(No) (4 ceil(Ni/4) + b); not cached behind a flattened map where 64
///                            outputs take more than `flatten_rows` rows of 64 bytes
///   recurrent layers         P(No) 4 ceil(Ni/4) for each matrix
///   constants of others      as stored, a constant per channel 16 times; never cached
/// The first three within 1.3 % in 35 published files of compilers 1.0 to 16, exact in most; the
/// last two are less sure (docs/cost-model.md). O(inputs + outputs).
[[nodiscard]] ParameterFootprint parameter_footprint(const Model& model, OperatorId id,
                                                     const DeviceSpec& device);

/// Rows of the wide memory that an operator reserves in every tile while it runs.
struct ReservedRows {
  std::uint32_t inside = 0;    // its activations are written in the segment
  std::uint32_t at_input = 0;  // it reads one from the host; at least `inside`
};

/// The least of what two ways of working need: all weights of 64 outputs twice, or slices of them
/// twice and a 32-bit sum per output and pixel of the fullest tile. Pools that reach over the edge
/// of the map, and constants per channel, have their own terms (docs/cost-model.md). O(1).
[[nodiscard]] ReservedRows reserved_rows(const Model& model, OperatorId id,
                                         const DeviceSpec& device);

/// Bytes for parameters in a segment whose layers reserve `rows`; less than `least_reserved_rows`
/// count as these.
[[nodiscard]] std::uint64_t parameter_capacity(const ParameterMemory& memory, std::uint32_t rows);

/// Whole operators are cached or streamed: small ones first, then those whose weights are used
/// least often per inference (smallest output map), larger ones first among equals; what does not
/// fit is skipped. `compile` is O(n log n) in the operators of the segment; `depth_host_bytes` has
/// sums over depths, and compiles only ranges with operators that the device does not have.
[[nodiscard]] std::unique_ptr<Compiler> make_simulated_compiler(const DeviceSpec& device);

/// How long things take on an Edge TPU: cycles of an operator, time of a segment.
///
/// A closed form, from physics where it is known: sixteen tiles of 64 outputs by 4 inputs compute;
/// a link brings inputs and streamed parameters; the host re-lays outputs out. Each constant is in
/// the DeviceSpec with its source; what is law, what is inferred, and the formulas with the rows
/// that support them: docs/cost-model.md. The error on rows that no constant was fitted to:
/// docs/accuracy.md. All times are simulated.
///
/// Thread-safety: pure functions.

/// What one operator asks of the device, whatever segment it is in.
struct OperatorWork {
  std::uint64_t cycles = 0;     // of the array; 0 for operators that only rename a tensor
  std::uint32_t crossings = 1;  // how often its streamed parameters cross the link per inference
  std::uint64_t instruction_bytes = 0;  // of the program
};

/// Cycles of the fullest tile, with p = ceil(H/4) ceil(W/4) pixels of the output, w = p ceil(C/4)
/// words of it, and [o x i] = ceil(o/64) ceil(i/4); each operator takes `operator_cycles` more:
///   CONV_2D                   p [Co x Ci] kh kw + tap_cycles * words read from neighbour tiles
///   TRANSPOSE_CONV            p of the input [Co x Ci] kh kw + w
///   FULLY_CONNECTED           vectors [No x Ni], in one tile
///   DEPTHWISE_CONV_2D, pools  tap_cycles * kh kw w; a kernel of one row: tap_cycles * w
///   ADD, MUL, SUB and such    w: the second operand
///   MEAN, SUM and such        w of the input
///   SOFTMAX                   softmax_cycles per element
///   RESHAPE and such          0, without operator_cycles
///   others                    2 w: read and written
/// A tile reads or writes one word of 4 channels per cycle. Crossings: 1 while a map's input and
/// output fit the tiles; else the map is computed in strips of rows, and the weights come again for
/// each strip. Instruction bytes: a fit to published compiled files. docs/cost-model.md has the
/// rows behind each.
[[nodiscard]] OperatorWork operator_work(const Model& model, OperatorId id,
                                         const DeviceSpec& device);

/// How long the host's processor takes for an operator that the device leaves to it: a fixed time,
/// and the longer of its arithmetic and its memory traffic, on one core with the builtin kernels of
/// TensorFlow Lite. An estimate by kind of work (HostCompute), not a measurement of the operator.
[[nodiscard]] Nanoseconds host_operator_time(const Graph& graph, OperatorId id,
                                             const DeviceSpec& device);

/// Where the time of one inference of a segment goes.
struct SegmentTime {
  Nanoseconds fixed{0};      // request, interrupt, driver
  Nanoseconds input{0};      // instructions (USB) and activations to the device
  Nanoseconds compute{0};    // the array
  Nanoseconds streaming{0};  // parameters from the host, beyond what computing hides
  Nanoseconds output{0};     // activations from the device, re-laid out by the host
  Nanoseconds host{0};       // operators that the device leaves to the host's processor
  // What else keeps the link busy, for devices that share one: parameters that arrive while the
  // array computes, in `compute`; and how much of `output` is on the link, not the host's
  // re-layout.
  Nanoseconds hidden_streaming{0};
  Nanoseconds output_on_link{0};
  std::uint64_t cycles = 0;          // of the array, all of them
  std::uint32_t host_operators = 0;  // in `host`
  /// From the host's call to its result, with nothing else going on.
  [[nodiscard]] Nanoseconds total() const {
    return fixed + input + compute + streaming + output + host;
  }
  /// How long the link is busy meanwhile.
  [[nodiscard]] Nanoseconds link() const {
    return input + streaming + hidden_streaming + output_on_link;
  }
  friend bool operator==(const SegmentTime&, const SegmentTime&) = default;
};

/// Time of a convex set of operators, in file order, whose parameters lie as `memory` reports: by
/// the simulated compiler or by another one, and of which the host computes what `memory` left to
/// it. Parameters without an operator of their own (a report of totals only) are streamed once. O(k
/// log k) for k operators.
[[nodiscard]] SegmentTime simulate_segment(const Graph& graph,
                                           std::span<const OperatorId> operators,
                                           const MemoryReport& memory, const DeviceSpec& device);

/// What handing an input to the next stage adds to its latency; with unequal devices, at the
/// slowest host. Stages hand over at the same time, so that it does not limit the pace.
[[nodiscard]] Nanoseconds runner_hop(const Timing& timing);
[[nodiscard]] Nanoseconds runner_hop(std::span<const DevicePool> pools);

/// Cores of the host that the devices share: the fewest that one of them states.
[[nodiscard]] std::uint32_t host_cores(std::span<const DevicePool> pools);

/// 10^12 operations per second: 2 * MACs / time, as the paper counts.
[[nodiscard]] double tera_operations_per_s(std::uint64_t macs, Nanoseconds time);

/// How sure a predicted time is: a range around it that holds about nine measurements in ten.
///
/// The range is the predicted time, multiplied by a low and a high factor (measured / simulated)
/// of its kind of segment. The factors are the 5 % and 95 % quantiles over measured rows that
/// fitted nothing, widened by 0.02 (src/device/factors.h). Neither the rows nor the procedure
/// assumes a distribution; rows of one network are not independent, so that nine in ten is what
/// the rows show and not a promise. docs/accuracy.md, "How sure", has the factors, the rows behind
/// each, and how many rows of a series lie in the range that the other series give.
///
/// Thread-safety: pure functions.

/// From the shortest to the longest time that is likely; the predicted one lies within.
struct TimeRange {
  Nanoseconds low{0};
  Nanoseconds high{0};
  friend bool operator==(const TimeRange&, const TimeRange&) = default;
};

/// Whether two ranges have a time in common: a measurement may then reverse the order of what they
/// belong to. Judged on the whole ranges, although two plans of one model on the same devices
/// share a part of their errors: it says so too often, not too rarely.
[[nodiscard]] constexpr bool overlap(const TimeRange& a, const TimeRange& b) {
  return a.low <= b.high && b.low <= a.high;
}

/// What most of a segment's time on the device is.
enum class SegmentKind {
  kStreaming,     // streaming parameters takes over 40 % of its time
  kConvolutions,  // else, over 60 % of its cycles are products of CONV_2D
  kDense,         // else, it has dense layers, and beside them operators element by element only
  kSmall,         // the rest: small, depthwise, many operators
};
/// "streaming", "large convolutions", "dense", "small".
[[nodiscard]] std::string_view to_string(SegmentKind kind);

/// How well the constants of a device describe the host it is used with.
enum class HostKnowledge {
  kMeasured,  // they were measured on this very host (`segue calibrate`)
  kTypical,   // measured on another desktop computer
  kUnknown,   // inferred: Dev Board, Raspberry Pi, USB 2, and where a file makes the host slower
};
/// "measured", "typical", "unknown".
[[nodiscard]] std::string_view to_string(HostKnowledge knowledge);
[[nodiscard]] HostKnowledge host_knowledge(const DeviceSpec& device);

/// measured / simulated: `low` is at most 1, `high` at least 1.
struct ErrorFactors {
  double low = 1;
  double high = 1;
};
[[nodiscard]] ErrorFactors error_factors(SegmentKind kind, HostKnowledge knowledge);
/// The same, and no narrower than what a calibration of this device missed its own check by.
[[nodiscard]] ErrorFactors error_factors(SegmentKind kind, const DeviceSpec& device);

/// Of operators on the host's processor that no one measured: rates are means of kinds of work, and
/// a single operator is off by a factor of three (docs/cost-model.md, "What the host computes").
inline constexpr ErrorFactors kHostOperatorFactors{1.0 / 3, 3.0};

/// The kind of a segment whose time `simulate_segment` gave; `memory` is the report it was given,
/// of which only the operators on the host matter: they do not count. O(operators).
[[nodiscard]] SegmentKind segment_kind(const Graph& graph, std::span<const OperatorId> operators,
                                       const SegmentTime& time, const DeviceSpec& device,
                                       const MemoryReport& memory = {});

/// The range of a segment's total time, alone on an idle host: its part on the device by its kind,
/// operators on the host by kHostOperatorFactors, or, where they were measured on this machine
/// (HostCompute::measured), as the rest of the segment. The high end of an unknown host also has
/// its share of the output as slow as a busy host is (kMostHostStretch). O(operators).
[[nodiscard]] TimeRange time_range(const Graph& graph, std::span<const OperatorId> operators,
                                   const SegmentTime& time, const DeviceSpec& device,
                                   const MemoryReport& memory = {});

/// The host's share of a segment's output, beside the link. O(1).
[[nodiscard]] Nanoseconds host_share_of_output(const SegmentTime& time, const DeviceSpec& device);

}  // namespace segue
