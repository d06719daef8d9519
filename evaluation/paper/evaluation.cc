#include "evaluation/paper/evaluation.h"

#include <fmt/format.h>

#include <algorithm>

#include "evaluation/accuracy/measured.h"
#include "segue/cost.h"
#include "segue/error.h"
#include "segue/segmentation.h"
#include "segue/zoo.h"

namespace segue::paper {
namespace {

SweepPoint evaluate_point(const std::string& model_name, std::int32_t size,
                          const DeviceSpec& device) {
  const Model model = open_model(model_name);
  const Graph graph(model);
  const Plan whole = even_plan(graph, segment_as_vendor(graph, 1), device, Strategy::kCompiler);
  SweepPoint point{size,
                   graph.parameter_bytes(),
                   graph.macs(),
                   whole.predicted.single_device,
                   whole.stages[0].on_chip_bytes,
                   whole.stages[0].host_bytes,
                   {}};
  Profile profile = Profile::simulated(graph, device);
  for (std::size_t i = 0; i < point.pipelines.size(); ++i) {
    const std::size_t tpus = i + 2;
    SweepPoint::Pipeline& pipeline = point.pipelines[i];
    pipeline.vendor = even_plan(graph, segment_as_vendor(graph, tpus), device, Strategy::kCompiler);
    pipeline.profiled = even_plan(graph, segment_by_exhaustion(profile, tpus).segmentation, device,
                                  Strategy::kProfile);
    pipeline.vendor_batch = batch_time(pipeline.vendor, device);
    pipeline.profiled_batch = batch_time(pipeline.profiled, device);
  }
  return point;
}

template <typename Row>
std::vector<SweepPoint> evaluate_sweep(const std::vector<Row>& rows, std::int32_t Row::*size,
                                       const char* stem, const DeviceSpec& device) {
  std::vector<SweepPoint> points;
  points.reserve(rows.size());
  for (const Row& row : rows)
    points.push_back(evaluate_point(fmt::format("zoo:{}{}", stem, row.*size), row.*size, device));
  return points;
}

}  // namespace

OneTpuPoint on_one_tpu(const std::string& model_name, const DeviceSpec& device) {
  const Model model = open_model("zoo:" + model_name);
  const Graph graph(model);
  const auto operators = graph.operators_between(1, graph.depth());
  const MemoryReport memory = make_simulated_compiler(device)->compile(graph, operators);
  return {model_name,
          graph.operator_count(),
          graph.depth(),
          graph.parameter_bytes(),
          graph.macs(),
          simulate_segment(graph, operators, memory, device),
          memory.on_chip_bytes,
          memory.host_bytes,
          std::ranges::none_of(memory.operators, [](const OperatorMemory& of) {
            return of.residency == Residency::kStreamed;
          })};
}

void Evaluation::step_done() {
  const std::scoped_lock lock(mutex_);
  ++done_;
  if (progress_) progress_(done_, steps_);
}

const std::vector<AccuracySeries>& Evaluation::accuracy() {
  if (accuracy_.empty()) accuracy_ = evaluate_accuracy();
  return accuracy_;
}

const AccuracySeries& Evaluation::series(std::string_view key) {
  const auto found = std::ranges::find(accuracy(), key, &AccuracySeries::key);
  if (found != accuracy().end()) return *found;
  throw Error(ErrorCode::kInternal, fmt::format("unknown series {}", key));
}

const std::vector<OneTpuPoint>& Evaluation::one_tpu() {
  if (one_tpu_.empty()) {
    for (const Network& network : kNetworks) one_tpu_.push_back(on_one_tpu(network.name, device()));
  }
  return one_tpu_;
}

const std::vector<NetworkPlans>& Evaluation::networks() {
  if (networks_.empty()) networks_ = plan_networks(device(), [this] { step_done(); });
  return networks_;
}

const std::vector<SweepPoint>& Evaluation::conv_sweep() {
  if (conv_sweep_.empty())
    conv_sweep_ = evaluate_sweep(segue::conv_sweep(), &ConvSweepRow::filters, "conv5-f", device());
  return conv_sweep_;
}

const std::vector<SweepPoint>& Evaluation::dense_sweep() {
  if (dense_sweep_.empty())
    dense_sweep_ =
        evaluate_sweep(segue::dense_sweep(), &DenseSweepRow::units, "dense4-n", device());
  return dense_sweep_;
}

}  // namespace segue::paper
