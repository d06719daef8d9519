/// What is known of an Edge TPU: every constant with its unit, its source and how it is known.
///
/// A constant that no vendor page states was derived from measurements that others published; the
/// source names them. docs/cost-model.md explains each.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace segue {

enum class Evidence { kDocumented, kMeasured, kDerived };
[[nodiscard]] std::string_view to_string(Evidence evidence);

/// A number with its pedigree.
struct Constant {
  double value = 0;
  std::string_view unit;
  Evidence evidence = Evidence::kDerived;
  std::string_view source;
};

/// The memory of one Edge TPU, as the compiler hands it out to parameters.
struct ParameterMemory {
  Constant capacity_bytes;          // for parameters, when a segment has no input activations
  Constant input_share;             // capacity lost per byte of the segment's input activations
  Constant output_lanes;            // output channels are padded to a multiple of this
  Constant input_lanes;             // input channels are padded to a multiple of this
  Constant channel_bytes;           // per padded output channel: int32 bias and requantization
  Constant streamed_channel_bytes;  // of these, what travels with a layer streamed in one pass
  Constant small_layer_bytes;       // up to here a layer is cached before all others
};

/// The memory of one Edge TPU for activations: a grid of tiles that share height and width of a map
/// among them, each with all channels of its part.
struct ActivationMemory {
  Constant tiles_high;         //
  Constant tiles_wide;         //
  Constant narrow_tile_bytes;  // in each tile
};

struct DeviceSpec {
  std::string name;
  std::string description;
  ParameterMemory memory;
  ActivationMemory activations;
};

/// "edgetpu-usb3", "edgetpu-usb2", "edgetpu-pcie" at the standard clock, each also as "…-max", and
/// "edgetpu-devboard".
[[nodiscard]] std::span<const DeviceSpec> device_catalogue();

/// Throws Error(kInvalidArgument) listing the catalogue when the name is not in it.
[[nodiscard]] const DeviceSpec& find_device(std::string_view name);

}  // namespace segue
