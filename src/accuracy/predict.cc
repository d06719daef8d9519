#include "accuracy/predict.h"

#include <fmt/format.h>

#include <cmath>
#include <numeric>

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

Nanoseconds SweepPredictor::pipeline(std::size_t devices, std::uint64_t batch, HostSharing sharing,
                                     const DeviceSpec& device) const {
  std::vector<StageLoad> loads;
  for (const auto& operators : segment_as_vendor(graph_, devices).segments)
    loads.push_back({segment_time(graph_, operators, device)});
  TimelineOptions options = timeline_options(loads, device);
  options.inputs = batch;
  options.queue_capacity = 0;  // pycoral's queues have no bound
  if (sharing != HostSharing::kNone) {
    SharedPath path;
    path.holds = sharing == HostSharing::kTransfers ? SharedPath::Holds::kTransfers
                                                    : SharedPath::Holds::kInvocations;
    path.devices.resize(sharing == HostSharing::kInvocationsOfTwo ? 2 : devices);
    std::iota(path.devices.begin(), path.devices.end(), 0U);
    options.shared.push_back(path);
  }
  return simulate_timeline(loads, options).time_per_input();
}

Model dense_stack(std::int32_t units) { return open_model(fmt::format("zoo:dense4-n{}", units)); }

}  // namespace segue
