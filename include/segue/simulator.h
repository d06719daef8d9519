/// How long things take on an Edge TPU: cycles of an operator, time of a segment.
///
/// A closed form, from physics where it is known: sixteen tiles of 64 outputs by 4 inputs compute;
/// a link brings inputs and streamed parameters; the host re-lays outputs out. Each constant is in
/// the DeviceSpec with its source; what is law, what is inferred, and the formulas with the rows
/// that support them: docs/cost-model.md. The error on rows that no constant was fitted to:
/// docs/accuracy.md. All times are simulated.
///
/// Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "segue/compiler.h"
#include "segue/device.h"
#include "segue/graph.h"
#include "segue/units.h"

namespace [[gnu::visibility("default")]] segue {

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

}  // namespace segue
