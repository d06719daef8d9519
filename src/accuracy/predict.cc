#include "accuracy/predict.h"

#include <fmt/format.h>

#include <cmath>

#include "segmentation/vendor.h"
#include "segue/compiler.h"
#include "segue/segmentation.h"
#include "segue/zoo.h"

namespace segue {
namespace {

std::uint64_t from_mib(double mib) {
  return static_cast<std::uint64_t>(mib * static_cast<double>(kMiB));
}

SegmentTime segment_time(const Graph& graph, std::span<const OperatorId> operators,
                         const DeviceSpec& device) {
  return simulate_segment(graph, operators,
                          make_simulated_compiler(device)->compile(graph, operators), device);
}

}  // namespace

SegmentTime predict(const Model& model, const DeviceSpec& device) {
  const Graph graph(model);
  return segment_time(graph, graph.operators_between(1, graph.depth()), device);
}

DeviceSpec with_first_compilers(const DeviceSpec& device) {
  DeviceSpec result = device;
  result.memory.narrow_outputs = result.memory.output_lanes;
  return result;
}

CardSegments predict_on_card(const Graph& graph, std::size_t segments, const DeviceSpec& device) {
  std::vector<OperatorId> order;
  for (std::size_t i = 0; i < graph.operator_count(); ++i) order.push_back(operator_id(i));
  const auto compiler = make_simulated_compiler(device);
  CardSegments result;
  for (const auto& operators : segment_along(graph, order, segments).segments) {
    const MemoryReport memory = compiler->compile(graph, operators);
    result.host_bytes += memory.host_bytes;
    result.times.push_back(simulate_segment(graph, operators, memory, device));
  }
  return result;
}

SegmentTime predict_with_report(const Model& model, double on_chip_mib, double host_mib,
                                const DeviceSpec& device) {
  const Graph graph(model);
  const auto operators = graph.operators_between(1, graph.depth());
  MemoryReport report;
  report.on_chip_bytes = from_mib(on_chip_mib);
  report.host_bytes = from_mib(host_mib);
  // That compiler sent streamed weights as stored, so the last layers that add up are streamed.
  std::uint64_t left = report.host_bytes;
  for (std::size_t i = operators.size(); i-- > 0 && left > 0;) {
    const std::uint64_t bytes = std::min(left, graph.stats(operators[i]).parameter_bytes);
    if (bytes > 0) report.operators.push_back({operators[i], Residency::kStreamed, bytes});
    left -= bytes;
  }
  return simulate_segment(graph, operators, report, device);
}

SweepPredictor::SweepPredictor(std::int32_t filters)
    : model_(std::make_unique<Model>(open_model(fmt::format("zoo:conv5-f{}", filters)))),
      graph_(*model_) {}

Nanoseconds SweepPredictor::one_device(const DeviceSpec& device) const {
  return segment_time(graph_, graph_.operators_between(1, graph_.depth()), device).total();
}

Nanoseconds SweepPredictor::pipeline(std::size_t devices, std::uint64_t batch, const HostPace& pace,
                                     const DeviceSpec& device) const {
  return in_segments(segment_as_vendor(graph_, devices), batch, pace, device);
}

Nanoseconds SweepPredictor::in_two(std::size_t first_layers, std::uint64_t batch,
                                   const HostPace& pace, const DeviceSpec& device) const {
  Segmentation segmentation{{{}, {}}};
  for (std::size_t i = 0; i < graph_.operator_count(); ++i)
    segmentation.segments[i < first_layers ? 0 : 1].push_back(operator_id(i));
  return in_segments(segmentation, batch, pace, device);
}

Nanoseconds SweepPredictor::in_segments(const Segmentation& segmentation, std::uint64_t batch,
                                        const HostPace& pace, const DeviceSpec& device) const {
  std::vector<PacedStage> stages;
  double first_ns = 0;
  for (const auto& operators : segmentation.segments) {
    const SegmentTime time = segment_time(graph_, operators, device);
    const double host_ns = static_cast<double>((time.output - time.output_on_link).count());
    const auto total_ns = static_cast<double>(time.total().count());
    stages.push_back({total_ns - host_ns, host_ns, 1});
    first_ns += total_ns + static_cast<double>(runner_hop(device.timing).count());
  }
  const auto count = static_cast<double>(batch);
  return Nanoseconds(
      std::llround((first_ns + (count - 1) * paced_period_ns(stages, pace)) / count));
}

Model dense_stack(std::int32_t units) { return open_model(fmt::format("zoo:dense4-n{}", units)); }

}  // namespace segue
