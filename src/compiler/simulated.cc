#include <algorithm>
#include <utility>

#include "segue/compiler.h"

namespace segue {
namespace {

struct Candidate {
  std::size_t position = 0;  // among the operators of the segment
  bool is_small = false;
  std::uint64_t output_pixels = 0;
  ParameterFootprint footprint;
};

std::uint64_t round_up(std::uint64_t value, const Constant& lanes) {
  const auto multiple = static_cast<std::uint64_t>(lanes.value);
  return (value + multiple - 1) / multiple * multiple;
}

std::uint64_t extent(const Tensor& tensor, std::size_t dimension) {
  return dimension < tensor.shape.size() ? static_cast<std::uint64_t>(tensor.shape[dimension]) : 1;
}

const Tensor* constant_input(const Model& model, const Operator& op, std::size_t position) {
  if (position >= op.inputs.size() || op.inputs[position] < 0) return nullptr;
  const Tensor& tensor = model.tensor(tensor_id(op.inputs[position]));
  return tensor.is_constant() ? &tensor : nullptr;
}

// H * W of [N, H, W, C]; vectors count as one pixel.
std::uint64_t output_pixels(const Model& model, const Operator& op) {
  if (op.outputs.empty()) return 1;
  const Tensor& output = model.tensor(tensor_id(op.outputs[0]));
  return output.shape.size() == 4 ? extent(output, 1) * extent(output, 2) : 1;
}

std::uint64_t as_bytes(const Constant& constant) {
  return static_cast<std::uint64_t>(constant.value);
}

// A matrix of `outputs` rows over `inputs` columns, `taps` times (kernel positions).
struct Matrix {
  std::uint64_t outputs = 0;
  std::uint64_t inputs = 0;
  std::uint64_t taps = 1;
  bool has_channel_data = true;  // bias and requantization
  bool needs_passes = false;     // its activations exceed the tiles
};

ParameterFootprint padded(const Matrix& matrix, const ParameterMemory& memory) {
  const std::uint64_t channels = round_up(matrix.outputs, memory.output_lanes);
  const std::uint64_t weights =
      channels * round_up(matrix.inputs, memory.input_lanes) * matrix.taps;
  if (!matrix.has_channel_data) return {.cached_bytes = weights, .streamed_bytes = weights};
  const Constant& streamed =
      matrix.needs_passes ? memory.channel_bytes : memory.streamed_channel_bytes;
  return {.cached_bytes = weights + channels * as_bytes(memory.channel_bytes),
          .streamed_bytes = weights + channels * as_bytes(streamed)};
}

// Bytes of [N, H, W, C] in the fullest tile.
std::uint64_t tile_bytes(const Tensor& tensor, const ActivationMemory& memory) {
  if (tensor.shape.size() != 4) return 0;
  const auto share = [](std::uint64_t extent_of_map, const Constant& tiles) {
    return (extent_of_map + as_bytes(tiles) - 1) / as_bytes(tiles);
  };
  return share(extent(tensor, 1), memory.tiles_high) * share(extent(tensor, 2), memory.tiles_wide) *
         extent(tensor, 3);
}

// Whether input and output of an operator do not fit the tiles together, so that the map is
// computed in several passes.
bool needs_passes(const Model& model, const Operator& op, const ActivationMemory& memory) {
  const std::uint64_t bytes = tile_bytes(model.tensor(tensor_id(op.inputs[0])), memory) +
                              tile_bytes(model.tensor(tensor_id(op.outputs[0])), memory);
  return bytes > as_bytes(memory.narrow_tile_bytes);
}

// Gate and projection matrices of a recurrent layer; each is a dense layer of its own.
ParameterFootprint padded_recurrent(const Model& model, const Operator& op,
                                    const ParameterMemory& memory) {
  ParameterFootprint total;
  for (std::size_t i = 0; i < op.inputs.size(); ++i) {
    const Tensor* tensor = constant_input(model, op, i);
    if (tensor == nullptr || tensor->shape.size() != 2) continue;
    const auto part = padded(
        {.outputs = extent(*tensor, 0), .inputs = extent(*tensor, 1), .has_channel_data = false},
        memory);
    total.cached_bytes += part.cached_bytes;
    total.streamed_bytes += part.streamed_bytes;
  }
  return total;
}

// Constants of element-wise operators, as unfolded batch normalization leaves them.
ParameterFootprint uncached_constants(const Model& model, const Operator& op) {
  ParameterFootprint result;
  result.is_cacheable = false;
  for (std::size_t i = 0; i < op.inputs.size(); ++i) {
    const Tensor* tensor = constant_input(model, op, i);
    if (tensor != nullptr && !tensor->shape.empty() && tensor->data.size() > 1)
      result.streamed_bytes += tensor->data.size();
  }
  return result;
}

bool is_elementwise(OpCode code) {
  return code == OpCode::kAdd || code == OpCode::kMul || code == OpCode::kSub;
}

// Bytes that reach the segment from outside; O(n log n) in its operators, not in the model's.
std::uint64_t input_activation_bytes(const Model& model, std::span<const OperatorId> operators) {
  std::vector<TensorId> tensors;
  for (const OperatorId id : operators) {
    for (const std::int32_t position : model.op(id).inputs) {
      if (position < 0) continue;
      const Tensor& tensor = model.tensor(tensor_id(position));
      if (tensor.is_constant() || tensor.is_variable) continue;
      const auto writer = model.producer(tensor_id(position));
      if (!writer || !std::ranges::binary_search(operators, *writer))
        tensors.push_back(tensor_id(position));
    }
  }
  std::ranges::sort(tensors);
  tensors.erase(std::unique(tensors.begin(), tensors.end()), tensors.end());
  std::uint64_t bytes = 0;
  for (const TensorId id : tensors) bytes += model.tensor(id).bytes;
  return bytes;
}

class SimulatedCompiler : public Compiler {
 public:
  explicit SimulatedCompiler(DeviceSpec device) : device_(std::move(device)) {}

  [[nodiscard]] MemoryReport compile(const Graph& graph,
                                     std::span<const OperatorId> operators) const override {
    MemoryReport report;
    report.capacity_bytes = capacity(graph.model(), operators);
    std::vector<Candidate> candidates;
    for (std::size_t i = 0; i < operators.size(); ++i) {
      const auto footprint = parameter_footprint(graph.model(), operators[i], device_);
      report.operators.push_back({operators[i], Residency::kNone, 0});
      if (!footprint.is_cacheable) {
        report.operators[i].residency = Residency::kUncached;
        report.operators[i].bytes = footprint.streamed_bytes;
        report.host_bytes += footprint.streamed_bytes;
      } else if (footprint.cached_bytes > 0) {
        candidates.push_back(
            {i, footprint.cached_bytes <= as_bytes(device_.memory.small_layer_bytes),
             output_pixels(graph.model(), graph.model().op(operators[i])), footprint});
      }
    }
    place(candidates, report);
    return report;
  }

 private:
  // Input activations take part of the parameter memory of the segment that receives them.
  [[nodiscard]] std::uint64_t capacity(const Model& model,
                                       std::span<const OperatorId> operators) const {
    const std::uint64_t input_bytes = input_activation_bytes(model, operators);
    const ParameterMemory& memory = device_.memory;
    const double left =
        memory.capacity_bytes.value - memory.input_share.value * static_cast<double>(input_bytes);
    return left <= 0 ? 0 : static_cast<std::uint64_t>(left);
  }

  static void place(std::vector<Candidate>& candidates, MemoryReport& report) {
    std::ranges::stable_sort(candidates, [](const Candidate& a, const Candidate& b) {
      if (a.is_small != b.is_small) return a.is_small;
      if (a.output_pixels != b.output_pixels) return a.output_pixels < b.output_pixels;
      return a.footprint.cached_bytes > b.footprint.cached_bytes;
    });
    for (const Candidate& candidate : candidates) {
      OperatorMemory& memory = report.operators[candidate.position];
      const bool fits =
          report.on_chip_bytes + candidate.footprint.cached_bytes <= report.capacity_bytes;
      memory.residency = fits ? Residency::kCached : Residency::kStreamed;
      memory.bytes = fits ? candidate.footprint.cached_bytes : candidate.footprint.streamed_bytes;
      (fits ? report.on_chip_bytes : report.host_bytes) += memory.bytes;
    }
  }

  DeviceSpec device_;
};

}  // namespace

// Weights: CONV_2D and TRANSPOSE_CONV [Co, kh, kw, Ci], DEPTHWISE_CONV_2D [1, kh, kw, C],
// FULLY_CONNECTED [No, Ni].
ParameterFootprint parameter_footprint(const Model& model, OperatorId id,
                                       const DeviceSpec& device) {
  const Operator& op = model.op(id);
  if (op.code == OpCode::kUnidirectionalSequenceLstm)
    return padded_recurrent(model, op, device.memory);
  if (is_elementwise(op.code)) return uncached_constants(model, op);
  const Tensor* weights = constant_input(model, op, 1);
  if (weights == nullptr || op.inputs[0] < 0 || op.outputs.empty()) return {};
  Matrix matrix;
  switch (op.code) {
    case OpCode::kConv2D:
    case OpCode::kTransposeConv:
      matrix = {.outputs = extent(*weights, 0), .inputs = extent(*weights, 3)};
      break;
    case OpCode::kDepthwiseConv2D:
      // One full group of input lanes per channel and tap.
      matrix = {.outputs = extent(*weights, 3), .inputs = 1};
      break;
    case OpCode::kFullyConnected:
      matrix = {.outputs = extent(*weights, 0), .inputs = extent(*weights, 1)};
      matrix.has_channel_data = constant_input(model, op, 2) != nullptr;
      return padded(matrix, device.memory);
    default:
      return {};
  }
  matrix.taps = extent(*weights, 1) * extent(*weights, 2);
  matrix.needs_passes = needs_passes(model, op, device.activations);
  return padded(matrix, device.memory);
}

std::unique_ptr<Compiler> make_simulated_compiler(const DeviceSpec& device) {
  return std::make_unique<SimulatedCompiler>(device);
}

}  // namespace segue
