#include <algorithm>
#include <initializer_list>

#include "device/edgetpu/geometry.h"
#include "model/internal/operator_kinds.h"
#include "segue/cost.h"

namespace segue {
namespace {

constexpr std::uint64_t kRowBytes = 64;  // in one tile
// Two sets of biases for 64 outputs.
constexpr std::uint64_t kBiasRows = 16;
// Larger pools are computed in strips. The largest reserve in published data has 1010 rows.
constexpr std::uint64_t kMostPoolRows = 1024;

ReservedRows with_biases(std::uint64_t inside, std::uint64_t at_input) {
  const auto rows = [](std::uint64_t value) {
    constexpr std::uint64_t kMost = std::uint64_t{1} << 31U;
    return static_cast<std::uint32_t>(std::min(kBiasRows + value, kMost));
  };
  return {rows(inside), rows(std::max(inside, at_input))};
}

// Returns the pixels that a tile computes of a map from the host: its part and the kernel's border,
// where the border counts twice if the part crowds the tile.
std::uint64_t pixels_at_input(const MapPart& part, const ActivationMemory& memory) {
  const std::uint64_t bytes =
      part.input_rows(part.output.rows) * part.input_row_bytes() + part.output_row_bytes();
  const std::uint64_t rings = bytes > as_integer(memory.narrow_tile_bytes) ? 2 : 1;
  return (part.output.rows + rings * (part.window.height - 1)) *
         (part.output.columns + rings * (part.window.width - 1));
}

// The smaller of two schedules: all inputs of 64 outputs, twice; or slices of them, twice, and a
// 32-bit sum for each pixel and output. Computing with a slice must take as long as reading and
// writing its sums.
ReservedRows convolution_rows(const MapPart& part, const Tensor& weights,
                              const DeviceSpec& device) {
  constexpr std::uint64_t kSumTraffic = 8;  // rows of sums, per pixel and slice
  constexpr std::uint64_t kSumRows = 4;     // rows of 64 sums of 32 bits
  const std::uint64_t lanes = as_integer(device.memory.input_lanes);
  const std::uint64_t taps = std::max<std::uint64_t>(extent(weights, 1) * extent(weights, 2), 1);
  const std::uint64_t inputs = divide_up(extent(weights, 3), lanes);
  const std::uint64_t slice = std::min(inputs, divide_up(kSumTraffic, taps));
  const std::uint64_t whole = 2 * inputs * taps * lanes;
  const auto rows = [&](std::uint64_t pixels) {
    return std::min(whole, 2 * slice * taps * lanes + kSumRows * pixels);
  };
  const std::uint64_t pixels =
      divide_up(part.output.pixels(), program_strips(part, device.activations));
  if (taps == 1) return with_biases(rows(pixels), 0);
  return with_biases(rows(pixels), rows(pixels_at_input(part, device.activations)));
}

// Whether the window crosses the edge of the map (padding SAME).
bool has_border(const Tensor& input, const Tensor& output, const OperatorWindow& window) {
  return (extent(output, 1) - 1) * window.stride_high + window.height > extent(input, 1) ||
         (extent(output, 2) - 1) * window.stride_wide + window.width > extent(input, 2);
}

// The tile's part of input and output, with 64 channels per row.
ReservedRows pool_rows(const MapPart& part, const Tensor& input, const Tensor& output) {
  if (part.input.channels <= kRowBytes || !has_border(input, output, part.window))
    return with_biases(0, 0);
  const std::uint64_t pixels =
      part.input_rows(part.output.rows) * part.input_columns() + part.output.pixels();
  const std::uint64_t rows = divide_up(part.input.channels, kRowBytes) * pixels;
  return with_biases(std::min(rows, kMostPoolRows), 0);
}

// Each channel takes 16 bytes in every tile.
ReservedRows constant_rows(const Model& model, const Operator& op) {
  constexpr std::uint64_t kUnit = 16;
  std::uint64_t channels = 0;
  for (std::size_t i = 0; i < op.inputs.size(); ++i) {
    const Tensor* const constant = constant_input(model, op, i);
    if (constant != nullptr && !constant->shape.empty() && constant->data.size() > 1)
      channels = std::max(channels, extent(*constant, constant->shape.size() - 1));
  }
  return with_biases(divide_up(channels * kUnit, kRowBytes), 0);
}

}  // namespace

ReservedRows reserved_rows(const Model& model, OperatorId id, const DeviceSpec& device) {
  const Operator& op = model.op(id);
  const Loop loop = kind_of(op.code).loop;
  if (loop == Loop::kBinary) return constant_rows(model, op);
  const auto part = map_part(model, id, device.activations);
  if (!part) return with_biases(0, 0);
  if (loop == Loop::kConvolution || loop == Loop::kTransposeConvolution) {
    const Tensor* const weights = constant_input(model, op, 1);
    if (weights != nullptr) return convolution_rows(*part, *weights, device);
  }
  if (loop == Loop::kPool)
    return pool_rows(*part, model.tensor(tensor_id(op.inputs[0])),
                     model.tensor(tensor_id(op.outputs[0])));
  return with_biases(0, 0);
}

std::uint64_t parameter_capacity(const ParameterMemory& memory, std::uint32_t rows) {
  const double reserved = std::max(memory.least_reserved_rows.value, static_cast<double>(rows)) *
                          memory.reserved_row_bytes.value;
  return static_cast<std::uint64_t>(std::max(0.0, memory.capacity_bytes.value - reserved));
}

}  // namespace segue
