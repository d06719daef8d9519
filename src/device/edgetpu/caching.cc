#include "device/edgetpu/caching.h"

#include "device/edgetpu/tiles.h"

namespace segue {
namespace {

// Returns H * W of a map [N, H, W, C]; a vector counts as one pixel.
std::uint64_t output_pixels(const Model& model, const Operator& op) {
  if (op.outputs.empty()) return 1;
  const Tensor& output = model.tensor(tensor_id(op.outputs[0]));
  return output.shape.size() == 4 ? extent(output, 1) * extent(output, 2) : 1;
}

}  // namespace

std::optional<CachingCandidate> caching_candidate(const Model& model, OperatorId id,
                                                  const DeviceSpec& device) {
  const auto footprint = parameter_footprint(model, id, device);
  if (!footprint.is_cacheable || footprint.bytes == 0) return std::nullopt;
  return CachingCandidate{id, footprint.bytes <= as_integer(device.memory.small_layer_bytes),
                          output_pixels(model, model.op(id)), footprint};
}

bool is_cached_before(const CachingCandidate& a, const CachingCandidate& b) {
  if (a.is_small != b.is_small) return a.is_small;
  if (a.output_pixels != b.output_pixels) return a.output_pixels < b.output_pixels;
  if (a.footprint.bytes != b.footprint.bytes) return a.footprint.bytes > b.footprint.bytes;
  return a.op < b.op;
}

}  // namespace segue
