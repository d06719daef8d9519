#include <algorithm>
#include <cmath>
#include <initializer_list>

#include "device/edgetpu/geometry.h"
#include "model/internal/operator_kinds.h"
#include "segue/cost.h"

namespace segue {
namespace {

// A limit for absurd operators. Sums over the operators of any file then fit in 64 bits.
constexpr std::uint64_t kMostCycles = std::uint64_t{1} << 40U;

// Multiplies with saturation, because factors from files may have any value.
std::uint64_t product(std::initializer_list<std::uint64_t> factors) {
  std::uint64_t result = 1;
  for (const std::uint64_t factor : factors) {
    if (factor != 0 && result > kMostCycles / factor) return kMostCycles;
    result *= factor;
  }
  return result;
}

std::uint64_t lanes(std::uint64_t channels, const Constant& width) {
  return divide_up(channels, as_integer(width));
}

std::uint64_t element_count(const Tensor& tensor) {
  std::uint64_t count = 1;
  for (std::size_t d = 0; d < tensor.shape.size(); ++d) count = product({count, extent(tensor, d)});
  return count;
}

// Returns the words of the fullest tile's part. A word is 4 channels of a pixel, read or written in
// one cycle.
std::uint64_t words(const Tensor& tensor, const DeviceSpec& device) {
  const TilePart part = tile_part(tensor, device.activations);
  return product({part.pixels(), lanes(part.channels, device.memory.input_lanes)});
}

// Returns the cycles of a matrix of outputs x inputs, used `uses` times.
std::uint64_t matrix_cycles(std::uint64_t outputs, std::uint64_t inputs, std::uint64_t uses,
                            const DeviceSpec& device) {
  return product(
      {uses, lanes(outputs, device.memory.output_lanes), lanes(inputs, device.memory.input_lanes)});
}

std::uint64_t scaled(std::uint64_t words, const Constant& factor) {
  return static_cast<std::uint64_t>(std::llround(
      std::min(static_cast<double>(words) * factor.value, static_cast<double>(kMostCycles))));
}

// An operator with its tensors.
struct Subject {
  const Model& model;
  OperatorId id;
  const DeviceSpec& device;

  [[nodiscard]] const Operator& op() const { return model.op(id); }
  [[nodiscard]] const Tensor& output() const { return model.tensor(tensor_id(op().outputs[0])); }
  // Returns null for an absent input.
  [[nodiscard]] const Tensor* input(std::size_t place) const {
    if (place >= op().inputs.size() || op().inputs[place] < 0) return nullptr;
    return &model.tensor(tensor_id(op().inputs[place]));
  }
  [[nodiscard]] std::uint64_t pixels(const Tensor& tensor) const {
    return tile_part(tensor, device.activations).pixels();
  }
  // Returns the words of all outputs, once for reading and once for writing.
  [[nodiscard]] std::uint64_t moved_words() const {
    std::uint64_t sum = 0;
    for (const std::int32_t position : op().outputs)
      sum += words(model.tensor(tensor_id(position)), device);
    return product({2, sum});
  }
};

// Steps are sequential, because each depends on the one before.
std::uint64_t recurrent_cycles(const Subject& subject) {
  const Tensor* const sequence = subject.input(0);
  const std::uint64_t steps =
      sequence != nullptr && sequence->shape.size() == 3 ? extent(*sequence, 1) : 1;
  std::uint64_t cycles =
      product({steps - std::min<std::uint64_t>(steps, 1),
               static_cast<std::uint64_t>(subject.device.timing.operator_cycles.value)});
  for (std::size_t i = 0; i < subject.op().inputs.size(); ++i) {
    const Tensor* weights = constant_input(subject.model, subject.op(), i);
    if (weights != nullptr && weights->shape.size() == 2)
      cycles += matrix_cycles(extent(*weights, 0), extent(*weights, 1), steps, subject.device);
  }
  return cycles;
}

std::uint64_t convolution_cycles(const Subject& subject, const Tensor& weights) {
  const std::uint64_t taps = extent(weights, 1) * extent(weights, 2);
  const std::uint64_t inner =
      matrix_cycles(extent(weights, 0), extent(weights, 3),
                    product({subject.pixels(subject.output()), taps}), subject.device);
  return inner + scaled(border_words(subject.model, subject.id, subject.device),
                        subject.device.timing.tap_cycles);
}

// Each input pixel contributes to kh * kw output pixels.
std::uint64_t transposed_cycles(const Subject& subject, const Tensor& weights) {
  const Tensor* const map = subject.input(2);
  const std::uint64_t taps = extent(weights, 1) * extent(weights, 2);
  return matrix_cycles(extent(weights, 0), extent(weights, 3),
                       product({subject.pixels(map == nullptr ? subject.output() : *map), taps}),
                       subject.device) +
         words(subject.output(), subject.device);
}

std::uint64_t dense_cycles(const Subject& subject, const Tensor& weights) {
  const std::uint64_t outputs = std::max<std::uint64_t>(extent(weights, 0), 1);
  return matrix_cycles(outputs, extent(weights, 1),
                       divide_up(element_count(subject.output()), outputs), subject.device);
}

// A kernel of one row reads its row once; a larger window is read tap by tap.
std::uint64_t window_cycles(const Subject& subject, std::uint64_t high, std::uint64_t wide) {
  const std::uint64_t taps = high == 1 ? 1 : high * wide;
  return scaled(product({words(subject.output(), subject.device), taps}),
                subject.device.timing.tap_cycles);
}

// Whether an operator multiplies two activations of one shape, as SiLU does: x times LOGISTIC of x.
bool multiplies_maps(const Subject& subject) {
  if (subject.op().code != OpCode::kMul) return false;
  const Tensor* const left = subject.input(0);
  const Tensor* const right = subject.input(1);
  return left != nullptr && right != nullptr && !left->is_constant() && !right->is_constant() &&
         std::ranges::equal(left->shape, right->shape);
}

std::uint64_t loop_cycles(const Subject& subject, Loop loop) {
  const Tensor* const weights = constant_input(subject.model, subject.op(), 1);
  const OperatorWindow window = subject.model.window(subject.id);
  switch (loop) {
    case Loop::kConvolution:
      if (weights != nullptr) return convolution_cycles(subject, *weights);
      break;
    case Loop::kTransposeConvolution:
      if (weights != nullptr) return transposed_cycles(subject, *weights);
      break;
    case Loop::kDense:
      if (weights != nullptr) return dense_cycles(subject, *weights);
      break;
    case Loop::kRecurrent:
      return recurrent_cycles(subject);
    case Loop::kDepthwise:
    case Loop::kPool:
      return window_cycles(subject, window.height, window.width);
    case Loop::kInterpolation:
      return window_cycles(subject, 2, 2);
    case Loop::kBinary: {
      // A fit to YOLOv8n at two clocks (docs/cost-model.md, "The array").
      constexpr std::uint64_t kProductCycles = 24;
      return product(
          {words(subject.output(), subject.device), multiplies_maps(subject) ? kProductCycles : 1});
    }
    case Loop::kReduction:
      if (subject.input(0) != nullptr) return words(*subject.input(0), subject.device);
      break;
    case Loop::kSoftmax:
      return scaled(element_count(subject.output()), subject.device.timing.softmax_cycles);
    default:
      break;
  }
  return subject.moved_words();
}

bool is_pixel(const Tensor& tensor) {
  return tensor.shape.size() != 4 || extent(tensor, 1) * extent(tensor, 2) == 1;
}

// Whether the tiles have parts of different size.
bool is_uneven(const Tensor& tensor, const ActivationMemory& memory) {
  return extent(tensor, 1) % as_integer(memory.tiles_high) != 0 ||
         extent(tensor, 2) % as_integer(memory.tiles_wide) != 0;
}

// Returns the bytes of instructions, a fit to compiled files of compilers 1.0 to 16
// (docs/cost-model.md, "Instructions"). Maps that the tiles do not share evenly take more; maps
// that are computed in strips take a multiple.
std::uint64_t instruction_bytes(const Subject& subject, Loop loop) {
  const Tensor& output = subject.output();
  const ActivationMemory& memory = subject.device.activations;
  const auto part = map_part(subject.model, subject.id, memory);
  const std::uint64_t strips = part ? program_strips(*part, memory) : 1;
  const auto map = subject.input(loop == Loop::kTransposeConvolution ? 2 : 0);
  const bool has_uneven_map =
      part && !is_pixel(output) && (is_uneven(output, memory) || is_uneven(*map, memory));
  const auto window_bytes = [&](std::uint64_t taps) -> std::uint64_t {
    if (taps > 1 && part && !is_pixel(output))
      return strips > 1 ? 7740 * strips : has_uneven_map ? 5160 : 1720;
    return strips > 1 ? 1520 * strips : has_uneven_map ? 1520 : 760;
  };
  const OperatorWindow window = subject.model.window(subject.id);
  constexpr std::uint64_t kMostGroups = 16;
  switch (loop) {
    case Loop::kConvolution:
    case Loop::kTransposeConvolution:
    case Loop::kDepthwise:
    case Loop::kPool:
      return window_bytes(std::uint64_t{window.height} * window.width);
    case Loop::kInterpolation:
      return window_bytes(4);
    case Loop::kDense:
      return 1300 + 340 * std::min(kMostGroups, lanes(output.shape.empty()
                                                          ? 1
                                                          : extent(output, output.shape.size() - 1),
                                                      subject.device.memory.output_lanes));
    case Loop::kSoftmax:
      return 4000;
    case Loop::kRename:
      return map != nullptr && !is_pixel(*map) ? 6000 : 0;
    case Loop::kPad:
      return 0;
    default:
      return 700 * strips;
  }
}

}  // namespace

OperatorWork operator_work(const Model& model, OperatorId id, const DeviceSpec& device) {
  const Subject subject{model, id, device};
  const Loop loop = kind_of(model.op(id).code).loop;
  OperatorWork work;
  work.crossings = crossings(model, id, device.activations);
  if (subject.op().outputs.empty()) return work;
  work.instruction_bytes = instruction_bytes(subject, loop);
  if (loop == Loop::kRename) return work;
  const auto started = static_cast<std::uint64_t>(device.timing.operator_cycles.value);
  work.cycles = std::min(loop_cycles(subject, loop) + started, kMostCycles);
  return work;
}

double tera_operations_per_s(std::uint64_t macs, Nanoseconds time) {
  return time.count() <= 0 ? 0 : 2e-12 * static_cast<double>(macs) / to_s(time);
}

}  // namespace segue
