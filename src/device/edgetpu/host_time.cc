#include <algorithm>

#include "device/edgetpu/internal/segment_sum.h"
#include "model/internal/operator_kinds.h"
#include "segue/cost.h"

namespace segue {
namespace {

double elements(const Tensor& tensor) {
  double count = 1;
  for (const std::int32_t extent : tensor.shape) count *= std::max(extent, 0);
  return count;
}

const Tensor* tensor_at(const Model& model, std::span<const std::int32_t> tensors,
                        std::size_t place) {
  if (place >= tensors.size() || tensors[place] < 0) return nullptr;
  return &model.tensor(tensor_id(tensors[place]));
}

// Also counts BATCH_MATMUL [.., M, K] x [.., K, N], whose options may transpose either matrix. The
// graph counts only operators with constant weights.
double macs_of(const Graph& graph, OperatorId id) {
  const Model& model = graph.model();
  const Operator& op = model.op(id);
  if (kind_of(op.code).loop != Loop::kMatrixProduct)
    return static_cast<double>(graph.stats(id).macs);
  const Tensor* left = tensor_at(model, op.inputs, 0);
  const Tensor* output = tensor_at(model, op.outputs, 0);
  constexpr std::size_t kMatrixRank = 2;
  if (left == nullptr || output == nullptr || left->shape.size() < kMatrixRank ||
      output->shape.size() < kMatrixRank)
    return 0;
  const auto matrix = left->shape.last(kMatrixRank);
  const std::int32_t rows = output->shape.last(kMatrixRank)[0];
  if (rows <= 0) return 0;
  return elements(*output) * static_cast<double>(matrix[0]) * matrix[1] / rows;
}

bool is_float(const Tensor* tensor) {
  return tensor != nullptr && (tensor->type == ElementType::kFloat32);
}

// Whether an operator copies elements, converts them or, for 8 bits, looks them up in a table of
// 256 values.
bool only_moves(OpCode code, bool is_of_floats) {
  const Loop loop = kind_of(code).loop;
  if (loop == Loop::kLookup) return !is_of_floats;
  return loop == Loop::kMove || loop == Loop::kPad || loop == Loop::kRename;
}

double visits(const Model& model, OperatorId id) {
  const Operator& op = model.op(id);
  const OperatorWindow window = model.window(id);
  const double window_elements = static_cast<double>(window.height) * window.width;
  const Tensor* output = tensor_at(model, op.outputs, 0);
  double most = output == nullptr ? 0 : elements(*output) * window_elements;
  if (window_elements > 1) return most;
  for (const auto tensors : {op.inputs, op.outputs}) {
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      const Tensor* tensor = tensor_at(model, tensors, i);
      if (tensor != nullptr && !tensor->is_constant()) most = std::max(most, elements(*tensor));
    }
  }
  return most;
}

// The share of `host_element` that SSD's post-processing takes per class score, because it reads
// each score once, and decodes and compares few boxes: 3 ns (docs/cost-model.md, "What the host
// computes").
constexpr double kScoreShare = 0.25;

double arithmetic_ns(const Graph& graph, OperatorId id, const HostCompute& host) {
  const Model& model = graph.model();
  const Operator& op = model.op(id);
  // The output decides the type, because the first input of TRANSPOSE_CONV is the shape of its
  // output.
  const bool is_of_floats = is_float(tensor_at(model, op.outputs, 0));
  const double macs = macs_of(graph, id);
  if (op.code == OpCode::kDepthwiseConv2D) return macs / host.depthwise_macs_per_s.value * 1e9;
  if (macs > 0) {
    const Constant& rate = is_of_floats ? host.float_macs_per_s : host.int8_macs_per_s;
    return macs / rate.value * 1e9;
  }
  const Constant& each =
      only_moves(op.code, is_of_floats) ? host.moved_element_ns : host.element_ns;
  const double share = op.name == "TFLite_Detection_PostProcess" ? kScoreShare : 1;
  return visits(model, id) * each.value * share;
}

}  // namespace

Nanoseconds host_operator_time(const Graph& graph, OperatorId id, const DeviceSpec& device) {
  const HostCompute& host = device.host;
  if (const auto measured = host.measured.find(static_cast<std::uint32_t>(id));
      measured != host.measured.end())
    return measured->second;
  const OperatorStats& stats = graph.stats(id);
  const auto traffic =
      static_cast<double>(stats.parameter_bytes + stats.input_bytes + stats.output_bytes);
  const double memory_ns = traffic / host.memory_bytes_per_s.value * 1e9;
  const double ns = host.operator_ns.value + std::max(arithmetic_ns(graph, id, host), memory_ns);
  return Nanoseconds(to_whole_ns(ns * device.timing.host_slowdown.value));
}

}  // namespace segue
