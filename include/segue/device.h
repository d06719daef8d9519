/// What is known of an Edge TPU: every constant with its unit, its source and how it is known.
///
/// A constant that no vendor page states was derived from measurements that others published; the
/// source names them. docs/cost-model.md explains each, docs/accuracy.md what error is left.
///
/// A device file describes another device by what differs from one of the catalogue:
///   { "schema": "segue.device/1",
///     "name": "my-card",
///     "base": "edgetpu-pcie",
///     "description": "M.2 card behind a slow bridge",          (optional)
///     "constants": { "link": {"value": 195, "unit": "MB/s",
///                             "source": "measured here"} },     (source optional)
///     "calibrated": { "low": 0.97, "high": 1.04 } }           (optional; by `segue calibrate`)
/// Each constant needs its unit; `device_constants` lists keys, units and ranges.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "segue/units.h"

namespace [[gnu::visibility("default")]] segue {

enum class Evidence { kDocumented, kMeasured, kDerived, kUser };
[[nodiscard]] std::string_view to_string(Evidence evidence);

/// A number with its pedigree.
struct Constant {
  double value = 0;
  std::string unit;
  Evidence evidence = Evidence::kDerived;
  std::string source;
};

/// The wide memory of one Edge TPU. Parameters stay in it; the layer that runs reserves rows of it
/// in every tile (see reserved_rows in compiler.h).
struct ParameterMemory {
  Constant capacity_bytes;       // of all tiles together
  Constant reserved_row_bytes;   // a row that is reserved, in all tiles together
  Constant least_reserved_rows;  // in every segment
  Constant output_lanes;         // outputs that a tile computes at a time
  Constant input_lanes;          // inputs that it multiplies at a time
  Constant narrow_outputs;       // unit of layers with fewer outputs than a tile computes at a time
  Constant small_layer_bytes;    // up to here a layer is cached before all others
  Constant
      flatten_rows;  // of 64 outputs of a dense layer behind a flattened map; above, it streams
};

/// The memory of one Edge TPU for activations: a grid of tiles that share height and width of a map
/// among them, each with all channels of its part.
struct ActivationMemory {
  Constant tiles_high;         //
  Constant tiles_wide;         //
  Constant narrow_tile_bytes;  // in each tile
};

/// What a device takes per inference: an array with a clock, a link, and a host. Host-bound work is
/// stated for a desktop computer and scaled by `host_slowdown`.
struct Timing {
  Constant clock_hz;         // of the array
  Constant operator_cycles;  // to start and end each operator
  Constant tap_cycles;       // per word of 4 channels that a window or a neighbour tile is read for
  Constant softmax_cycles;   // per element
  Constant link_bytes_per_s;    // either way: inputs, parameters, instructions, outputs
  Constant instruction_share;   // of the instructions, sent before every input; USB: 1, PCIe: 0
  Constant invoke_ns;           // host-bound: request, interrupt, driver
  Constant input_ns_per_byte;   // host-bound, beside the link: inputs copied for the driver
  Constant output_ns_per_byte;  // host-bound, beside the link: outputs re-laid out on arrival
  Constant host_slowdown;       // of host-bound work; 1: desktop
  Constant hop_ns;              // host-bound: a pipeline's hand-over to the next stage
  /// In a steady stream on several devices the host takes so many times as long for its share of
  /// outputs at most, and no longer than keeps so many of its cores busy at its pace for one
  /// device.
  Constant busy_stretch;  // 1: it is as fast for several devices as for one
  Constant busy_cores;
};

/// The only host whose stretch was measured: an i9-9900K with pycoral's runner, fitted on every
/// second raw row of batches of 100 on 2, 3 and 4 devices (docs/cost-model.md, "A busy host").
inline constexpr double kMostHostStretch = 3.2;
inline constexpr double kBusyHostCores = 1.45;

/// What the host's processor computes of the operators that the device leaves to it: one core of a
/// desktop computer with the builtin kernels of TensorFlow Lite, scaled by `host_slowdown`.
struct HostCompute {
  Constant int8_macs_per_s;       // convolutions and dense layers of 8-bit integers
  Constant float_macs_per_s;      // the same of floating point
  Constant depthwise_macs_per_s;  // depthwise convolutions
  Constant element_ns;            // of other arithmetic, per element of its largest activation
  Constant moved_element_ns;      // the same of operators that copy, look up or convert
  Constant memory_bytes_per_s;    // weights and activations read and written
  Constant operator_ns;           // fixed
  Constant cores;                 // that compute operators of different stages at a time
  /// Times of operators of one model, by position, as measured_host took them; they take the place
  /// of the rates.
  std::map<std::uint32_t, Nanoseconds> measured = {};
};

/// That the constants of a device were measured on the host it is used with (`segue calibrate`),
/// and the smallest and largest measured / simulated that this left over the networks measured.
struct Calibration {
  double low = 1;
  double high = 1;
};

struct DeviceSpec {
  std::string name;
  std::string description;
  ParameterMemory memory;
  ActivationMemory activations;
  Timing timing;
  HostCompute host;
  /// Several of them have one controller between them, which carries as much as the link of one:
  /// USB, unless open_devices is told otherwise.
  bool shares_controller = false;
  bool is_host_unknown = false;  // its host's constants are inferred, or a guess
  std::optional<Calibration> calibration = std::nullopt;
};

/// Equal devices of one computer.
struct DevicePool {
  DeviceSpec device;
  std::uint32_t count = 1;
  bool shares_link = false;  // all behind one: a USB controller or hub, a card with a bridge
};

/// How many devices of each pool run a stage.
using PoolCounts = std::vector<std::uint32_t>;

/// "edgetpu-usb3", "edgetpu-usb2", "edgetpu-pcie" at 250 MHz, each also as "…-max" at 500, and
/// "edgetpu-usb3-pi4", "edgetpu-card8", "edgetpu-devboard".
[[nodiscard]] std::span<const DeviceSpec> device_catalogue();

/// Throws Error(kInvalidArgument) listing the catalogue when the name is not in it.
[[nodiscard]] const DeviceSpec& find_device(std::string_view name);

/// Opens what commands call DEVICE: a name of the catalogue, or the path of a device file (anything
/// that ends in ".json"). Throws as find_device and read_device.
[[nodiscard]] DeviceSpec open_device(const std::string& name_or_path);

/// Opens what commands call DEVICES: pools separated by commas, each
/// `[COUNTx]DEVICE[:shared|:separate]`, as in "2xedgetpu-usb3,2xedgetpu-pcie:shared". Without
/// either, the devices of a pool share a link if they share a controller; devices of different
/// pools never do. A single pool without a count takes `count`. Throws as open_device, and
/// Error(kInvalidArgument) for a count that is missing or of more than 1024.
[[nodiscard]] std::vector<DevicePool> open_devices(const std::string& text, std::uint32_t count);

/// One kind of device, `DEVICE[:shared|:separate]`, as a pool of two. Throws as open_devices, and
/// Error(kInvalidArgument) where there is a count or more than one pool.
[[nodiscard]] DevicePool open_device_kind(const std::string& text);

/// Whether a name begins with a count, as in "2xedgetpu-usb3".
[[nodiscard]] bool has_device_count(std::string_view name);

[[nodiscard]] std::uint32_t device_count(std::span<const DevicePool> pools);

/// In how many ways a stage can be given devices of several pools, none included; 1 for a single
/// pool, where only their number matters. Exact searches take at most kMostDeviceChoices.
[[nodiscard]] std::uint64_t device_choices(std::span<const DevicePool> pools);
inline constexpr std::uint64_t kMostDeviceChoices = 4096;

/// The devices in the form that open_devices reads. One pool is written without its count.
[[nodiscard]] std::string to_string(std::span<const DevicePool> pools);

/// Reads a device file. Throws Error(kIo), and Error(kInvalidArgument) with the path of the
/// offending key ("constants.link.unit") and what was expected there.
[[nodiscard]] DeviceSpec read_device(const std::filesystem::path& path);

/// `label` names the source in messages. Throws as read_device.
[[nodiscard]] DeviceSpec parse_device(std::string_view text, const std::string& label);

/// A constant under the key that device files use, in a unit that people write.
struct NamedConstant {
  std::string_view key;
  std::string_view unit;     // of `smallest` and `largest`; what files may write is listed in docs
  double in_unit = 0;        // how much of the constant's own unit one such unit is
  double smallest = 0;       // inclusive, in `unit`
  double largest = 0;        // inclusive, in `unit`
  std::string_view meaning;  // one line
  Constant* (*of)(DeviceSpec&);
};

/// All constants that a device file may set, in a fixed order.
[[nodiscard]] std::span<const NamedConstant> device_constants();

}  // namespace segue
