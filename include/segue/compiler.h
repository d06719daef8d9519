/// The memory oracle: which parameters of a segment stay in the Edge TPU, and which the host
/// streams at every inference.
///
/// Two things can answer: the simulated compiler below, and Google's own. Both sit behind
/// `Compiler`, so that the algorithms that cut models do not know which one they ask.
///
/// The law of the simulated compiler, its sources and what it does not explain: docs/cost-model.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "segue/device.h"
#include "segue/graph.h"
#include "segue/model.h"

namespace [[gnu::visibility("default")]] segue {

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

}  // namespace segue
