#include "evaluation/accuracy/predict.h"

#include <fmt/format.h>

#include "planner/internal/vendor.h"
#include "segue/cost.h"
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

Plan one_device_each(const Graph& graph, const Segmentation& segments, const DevicePool& pool) {
  return make_plan(graph, segments, {&pool, 1}, Strategy::kCompiler,
                   std::vector<PoolCounts>(segments.segments.size(), PoolCounts{1}));
}

// Returns the time per input if the first result is followed by one result per period.
Nanoseconds of_batch(Nanoseconds first, Nanoseconds period, std::uint64_t batch) {
  const auto count = static_cast<std::int64_t>(batch);
  return (first + (count - 1) * period) / count;
}

// Returns the time of one input through all stages of a plan.
RangedTime ranged_latency(const Plan& plan, const Graph& graph, const DeviceSpec& device) {
  std::optional<SegmentKind> kind;
  bool is_of_one_kind = true;
  for (const Stage& stage : plan.stages) {
    // The times of the plan were just simulated and therefore contain cycles.
    const SegmentKind of_stage = segment_kind(graph, stage.operators, stage.time, device);
    is_of_one_kind = is_of_one_kind && (!kind || *kind == of_stage);
    kind = of_stage;
  }
  return {plan.predicted.latency, plan.predicted.range->latency,
          is_of_one_kind ? kind : std::nullopt};
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

SegmentTime predict_with_report(const Model& model, double on_chip_mib, double host_mib,
                                const DeviceSpec& device) {
  const Graph graph(model);
  const auto operators = graph.operators_between(1, graph.depth());
  MemoryReport report;
  report.on_chip_bytes = from_mib(on_chip_mib);
  report.host_bytes = from_mib(host_mib);
  // That compiler sent streamed weights as stored, so the last layers are streamed until the bytes
  // add up.
  std::uint64_t left = report.host_bytes;
  for (std::size_t i = operators.size(); i-- > 0 && left > 0;) {
    const std::uint64_t bytes = std::min(left, graph.stats(operators[i]).parameter_bytes);
    if (bytes > 0) report.operators.push_back({operators[i], Residency::kStreamed, bytes});
    left -= bytes;
  }
  return simulate_segment(graph, operators, report, device);
}

DeviceSpec on_measured_host(const char* device) {
  DeviceSpec spec = find_device(device);
  spec.calibration = Calibration{};
  return spec;
}

RangedTime ranged(const Model& model, const SegmentTime& time, const DeviceSpec& device) {
  const Graph graph(model);
  const auto operators = graph.operators_between(1, graph.depth());
  return {time.total(), time_range(graph, operators, time, device),
          segment_kind(graph, operators, time, device)};
}

CardPipeline predict_on_card(const Graph& graph, std::uint32_t segments) {
  constexpr double kPythonHopNs = 0.25e6;  // in addition to a stage's invocation
  DevicePool pool{on_measured_host("edgetpu-card8"), segments};
  pool.device.timing.hop_ns.value = kPythonHopNs;
  std::vector<OperatorId> order;
  for (std::size_t i = 0; i < graph.operator_count(); ++i) order.push_back(operator_id(i));
  const Plan plan = one_device_each(graph, segment_along(graph, order, segments), pool);
  return {ranged_latency(plan, graph, pool.device),
          {plan.predicted.bottleneck, plan.predicted.range->bottleneck},
          plan.host_bytes()};
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

Nanoseconds SweepPredictor::in_segments(const Segmentation& segmentation, std::uint64_t batch,
                                        const HostPace& pace, const DeviceSpec& device) const {
  DevicePool pool{device, static_cast<std::uint32_t>(segmentation.segments.size())};
  pool.device.timing.busy_stretch.value = pace.most_stretch;
  pool.device.timing.busy_cores.value = pace.busy_cores;
  const Prediction predicted = one_device_each(graph_, segmentation, pool).predicted;
  return of_batch(predicted.latency, predicted.bottleneck, batch);
}

RangedTime SweepPredictor::ranged_pipeline(std::size_t devices, std::uint64_t batch,
                                           const HostPace& pace, const DeviceSpec& device) const {
  return ranged_segments(segment_as_vendor(graph_, devices), batch, pace, device);
}

RangedTime SweepPredictor::ranged_in_two(std::size_t first_layers, std::uint64_t batch,
                                         const HostPace& pace, const DeviceSpec& device) const {
  Segmentation segmentation{{{}, {}}};
  for (std::size_t i = 0; i < graph_.operator_count(); ++i)
    segmentation.segments[i < first_layers ? 0 : 1].push_back(operator_id(i));
  return ranged_segments(segmentation, batch, pace, device);
}

RangedTime SweepPredictor::ranged_segments(const Segmentation& segmentation, std::uint64_t batch,
                                           const HostPace& pace, const DeviceSpec& device) const {
  const DevicePool pool{device, static_cast<std::uint32_t>(segmentation.segments.size())};
  const Plan plan = one_device_each(graph_, segmentation, pool);
  RangedTime result = ranged_latency(plan, graph_, device);
  if (batch == 1) return result;
  result.time = in_segments(segmentation, batch, pace, device);
  const PredictionRange& range = *plan.predicted.range;
  result.kind.reset();
  result.range = {of_batch(range.latency.low, range.bottleneck.low, batch),
                  of_batch(range.latency.high, range.bottleneck.high, batch)};
  return result;
}

Model dense_stack(std::int32_t units) { return open_model(fmt::format("zoo:dense4-n{}", units)); }

}  // namespace segue
