#include <algorithm>
#include <cmath>

#include "device/internal/factors.h"
#include "model/internal/operator_kinds.h"
#include "segue/cost.h"

namespace segue {
namespace {

// Thresholds between the kinds of segments, chosen with the rows of docs/accuracy.md.
constexpr double kStreamingShare = 0.40;
constexpr double kConvolutionShare = 0.60;

double count(Nanoseconds time) { return static_cast<double>(time.count()); }

// Returns the device without overhead per operator and without reads from neighbour tiles, so that
// only the products of a convolution remain in its cycles.
DeviceSpec products_alone(DeviceSpec device) {
  device.timing.operator_cycles.value = 0;
  device.timing.tap_cycles.value = 0;
  return device;
}

// Whether a network of dense layers contains such operators: dense layers, softmax and element-wise
// operators.
bool is_of_dense_network(Loop loop) {
  return loop == Loop::kDense || loop == Loop::kSoftmax || is_pointwise(loop);
}

// Returns the estimated part of the time on the host, without measured operators.
Nanoseconds estimated_host_time(const Graph& graph, std::span<const OperatorId> operators,
                                const SegmentTime& time, const DeviceSpec& device,
                                const MemoryReport& memory) {
  if (time.host_operators == 0) return Nanoseconds(0);
  Nanoseconds estimated{0};
  for (const OperatorId id : operators_on_host(graph, operators, memory)) {
    if (!device.host.measured.contains(static_cast<std::uint32_t>(id)))
      estimated += host_operator_time(graph, id, device);
  }
  return std::min(estimated, time.host);
}

Nanoseconds scaled(double ns, double factor) { return Nanoseconds(std::llround(ns * factor)); }

}  // namespace

std::string_view to_string(SegmentKind kind) {
  switch (kind) {
    case SegmentKind::kStreaming:
      return "streaming";
    case SegmentKind::kConvolutions:
      return "large convolutions";
    case SegmentKind::kDense:
      return "dense";
    case SegmentKind::kSmall:
      return "small";
  }
  return "unknown";
}

std::string_view to_string(HostKnowledge knowledge) {
  switch (knowledge) {
    case HostKnowledge::kMeasured:
      return "measured";
    case HostKnowledge::kTypical:
      return "typical";
    case HostKnowledge::kUnknown:
      return "unknown";
  }
  return "unknown";
}

HostKnowledge host_knowledge(const DeviceSpec& device) {
  if (device.calibration) return HostKnowledge::kMeasured;
  return device.is_host_unknown ? HostKnowledge::kUnknown : HostKnowledge::kTypical;
}

ErrorFactors error_factors(SegmentKind kind, HostKnowledge knowledge) {
  const KindFactors& of_kind = *std::ranges::find(kKindFactors, kind, &KindFactors::kind);
  if (knowledge == HostKnowledge::kMeasured) return of_kind.measured;
  return knowledge == HostKnowledge::kUnknown ? of_kind.unknown : of_kind.typical;
}

ErrorFactors error_factors(SegmentKind kind, const DeviceSpec& device) {
  ErrorFactors factors = error_factors(kind, host_knowledge(device));
  if (device.calibration) {
    factors.low = std::min(factors.low, device.calibration->low);
    factors.high = std::max(factors.high, device.calibration->high);
  }
  return factors;
}

SegmentKind segment_kind(const Graph& graph, std::span<const OperatorId> operators,
                         const SegmentTime& time, const DeviceSpec& device,
                         const MemoryReport& memory) {
  if (count(time.streaming) > kStreamingShare * count(time.total() - time.host))
    return SegmentKind::kStreaming;
  const Model& model = graph.model();
  const DeviceSpec products_device = products_alone(device);
  const auto on_host = operators_on_host(graph, operators, memory);
  double products = 0;
  bool has_dense = false;
  bool has_others = false;
  for (const OperatorId id : operators) {
    if (std::ranges::binary_search(on_host, id)) continue;
    const Loop loop = kind_of(model.op(id).code).loop;
    has_dense = has_dense || loop == Loop::kDense;
    has_others = has_others || !is_of_dense_network(loop);
    if (loop == Loop::kConvolution)
      products += static_cast<double>(operator_work(model, id, products_device).cycles);
  }
  if (products > kConvolutionShare * static_cast<double>(time.cycles))
    return SegmentKind::kConvolutions;
  return has_dense && !has_others ? SegmentKind::kDense : SegmentKind::kSmall;
}

Nanoseconds host_share_of_output(const SegmentTime& time, const DeviceSpec& device) {
  const Timing& timing = device.timing;
  const double host = timing.output_ns_per_byte.value * timing.host_slowdown.value;
  const double both = host + 1e9 / timing.link_bytes_per_s.value;
  return both > 0 ? scaled(count(time.output), host / both) : Nanoseconds(0);
}

TimeRange time_range(const Graph& graph, std::span<const OperatorId> operators,
                     const SegmentTime& time, const DeviceSpec& device,
                     const MemoryReport& memory) {
  const ErrorFactors factors =
      error_factors(segment_kind(graph, operators, time, device, memory), device);
  const double estimated = count(estimated_host_time(graph, operators, time, device, memory));
  const double known = count(time.total()) - estimated;
  const double most = std::max(kMostHostStretch, device.timing.busy_stretch.value);
  const double stretched = host_knowledge(device) == HostKnowledge::kUnknown
                               ? (most - 1) * count(host_share_of_output(time, device))
                               : 0;
  return {scaled(known, factors.low) + scaled(estimated, kHostOperatorFactors.low),
          scaled(known + stretched, factors.high) + scaled(estimated, kHostOperatorFactors.high)};
}

}  // namespace segue
