/// Device descriptions: the constants of an Edge TPU, its link and its host, and pools of devices.
///
/// Every constant has a value, a unit, a source and the kind of its evidence. Constants that no
/// vendor document states were derived from published measurements. docs/cost-model.md explains
/// each one, and docs/accuracy.md reports the remaining error.
///
/// Example:
///
///     const segue::DeviceSpec& usb = segue::find_device("edgetpu-usb3");
///     std::printf("%.0f MB/s\n", usb.timing.link_bytes_per_s.value / 1e6);
///     const std::vector<segue::DevicePool> pools =
///         segue::open_devices("2xedgetpu-usb3,2xedgetpu-pcie:shared", 0);
///     const std::uint32_t tpus = segue::device_count(pools);  // 4
///
/// A device file describes a device by its differences from a catalogue entry:
///
///     { "schema": "segue.device/1",
///       "name": "my-card",
///       "base": "edgetpu-pcie",
///       "description": "M.2 card behind a slow bridge",          (optional)
///       "constants": { "link": {"value": 195, "unit": "MB/s",
///                               "source": "measured here"} },     (source optional)
///       "calibrated": { "low": 0.97, "high": 1.04 } }           (optional; by `segue calibrate`)
///
/// Each constant needs its unit. `device_constants` lists keys, units and ranges.
///
/// Thread-safety: all types are plain values and all functions are pure. The catalogue is
/// immutable.
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

// --- Constants

/// How a constant is known: stated by a vendor's document or source code, measured, derived from
/// published measurements (or guessed; the source says so), or set by a device file.
enum class Evidence { kDocumented, kMeasured, kDerived, kUser };
/// "documented", "measured", "derived", "user".
[[nodiscard]] std::string_view to_string(Evidence evidence);

/// A number with its provenance.
struct Constant {
  double value = 0;
  std::string unit;
  Evidence evidence = Evidence::kDerived;
  std::string source;
};

/// The wide memory of one Edge TPU, which caches parameters. The running layer reserves rows of it
/// in every tile (reserved_rows in cost.h).
struct ParameterMemory {
  Constant capacity_bytes;       // of all tiles together
  Constant reserved_row_bytes;   // size of one reserved row, over all tiles
  Constant least_reserved_rows;  // rows that every segment reserves at least
  Constant output_lanes;         // outputs that a tile computes in parallel
  Constant input_lanes;          // inputs that a tile multiplies in parallel
  Constant narrow_outputs;       // outputs of smaller layers are padded to a multiple of this
  Constant small_layer_bytes;    // layers up to this size are cached first
  // Limit for 64 outputs of a dense layer after a flattened map; a larger layer streams.
  Constant flatten_rows;
};

/// The narrow memory of one Edge TPU, which holds activations. A grid of tiles shares the height
/// and width of a feature map [N, H, W, C]; each tile has all channels of its part.
struct ActivationMemory {
  Constant tiles_high;         // rows of the grid
  Constant tiles_wide;         // columns of the grid
  Constant narrow_tile_bytes;  // in each tile
};

/// Time constants of a device: the array and its clock, the link, and the host. Host-bound times
/// are those of a desktop computer and are multiplied by `host_slowdown`.
struct Timing {
  Constant clock_hz;            // of the array
  Constant operator_cycles;     // overhead of each operator
  Constant tap_cycles;          // per word of 4 channels that a window or a neighbour tile reads
  Constant softmax_cycles;      // per element
  Constant link_bytes_per_s;    // in either direction: inputs, parameters, instructions, outputs
  Constant instruction_share;   // share of the instructions sent before each input; USB 1, PCIe 0
  Constant invoke_ns;           // host-bound: request, interrupt, driver
  Constant input_ns_per_byte;   // host-bound, added to the link: copying inputs for the driver
  Constant output_ns_per_byte;  // host-bound, added to the link: re-laying out outputs
  Constant host_slowdown;       // factor on host-bound work; 1: desktop computer
  Constant hop_ns;              // host-bound: a pipeline's hand-over to the next stage
  // A host that serves several devices in a steady stream takes up to `busy_stretch` times as long
  // for its share of outputs, limited by `busy_cores` cores of work at the pace for one device.
  // Law and source: docs/cost-model.md, "A busy host".
  Constant busy_stretch;  // 1: no slower for several devices than for one
  Constant busy_cores;
};

/// `busy_stretch` and `busy_cores` of the only measured host, an i9-9900K with pycoral's runner.
/// Fitted on every second raw row of batches of 100 on 2, 3 and 4 devices (docs/cost-model.md, "A
/// busy host").
inline constexpr double kMostHostStretch = 3.2;
inline constexpr double kBusyHostCores = 1.45;

/// Rates of the host's processor for operators that the device does not run: one core of a desktop
/// computer with the builtin kernels of TensorFlow Lite, slowed down by `host_slowdown`. Measured
/// values and machine: docs/cost-model.md, "What the host computes".
struct HostCompute {
  Constant int8_macs_per_s;       // convolutions and dense layers, 8-bit integers
  Constant float_macs_per_s;      // convolutions and dense layers, floating point
  Constant depthwise_macs_per_s;  // depthwise convolutions
  Constant element_ns;            // other arithmetic, per element of the largest activation
  Constant moved_element_ns;      // copies, look-ups and conversions, per element
  Constant memory_bytes_per_s;    // weights and activations read and written
  Constant operator_ns;           // overhead of each operator
  Constant cores;                 // that compute operators of different stages in parallel
  /// Measured times of the operators of one model, by operator position (measured_host in
  /// runtime.h). They replace the rates.
  std::map<std::uint32_t, Nanoseconds> measured = {};
};

/// Present when the constants of a device were measured on the host it is used with (`segue
/// calibrate`): the smallest and largest ratio measured / simulated of the networks that checked
/// them.
struct Calibration {
  double low = 1;
  double high = 1;
};

/// The laws of one kind of accelerator: what it runs, where parameters are stored, and how long a
/// segment takes. Defined in cost.h.
class DeviceModel;
/// Returns the laws of the Edge TPU, which docs/cost-model.md explains.
[[nodiscard]] const DeviceModel& edgetpu_model();

/// One kind of device: an accelerator with its link and its host.
struct DeviceSpec {
  std::string name;
  std::string description;
  ParameterMemory memory;
  ActivationMemory activations;
  Timing timing;
  HostCompute host;
  // USB: several devices share one controller, which has the bandwidth of one link. The default of
  // open_devices; ":separate" overrides it.
  bool shares_controller = false;
  bool is_host_unknown = false;  // the host's constants are inferred or guessed
  std::optional<Calibration> calibration = std::nullopt;
  // The laws that the constants above belong to; must outlive all copies. A model other than the
  // Edge TPU's may ignore constants, but pipelines use those of the link and the host.
  const DeviceModel* model = &edgetpu_model();
};

/// The largest number of devices in a pool.
inline constexpr std::uint32_t kMostDevices = 1024;

/// Equal devices of one computer.
struct DevicePool {
  DeviceSpec device;
  std::uint32_t count = 1;
  bool shares_link = false;  // one link for all: a USB controller or hub, a card with a bridge
};

/// A pool by the name of its device, as a plan and the DEVICES argument of commands state it.
struct PoolName {
  std::string device;       // a name in the catalogue, or the path of a device file
  std::uint32_t count = 0;  // 0: not stated
  enum class Link { kDefault, kShared, kSeparate };
  Link link = Link::kDefault;  // kDefault: shared if DeviceSpec::shares_controller is set
  friend bool operator==(const PoolName&, const PoolName&) = default;
};

/// The number of devices of each pool that run a stage.
using PoolCounts = std::vector<std::uint32_t>;

// --- Catalogue and device files

/// Returns the built-in devices: "edgetpu-usb3", "edgetpu-usb2" and "edgetpu-pcie" at 250 MHz and,
/// with the suffix "-max", at 500 MHz; "edgetpu-usb3-pi4", "edgetpu-pcie-busy", "edgetpu-card8" and
/// "edgetpu-devboard". docs/cost-model.md, "The constants", describes them.
[[nodiscard]] std::span<const DeviceSpec> device_catalogue();

/// Returns the entry of this name. Callers with other devices pass a catalogue that contains them.
/// Throws Error(kInvalidArgument) listing all names when there is none.
[[nodiscard]] const DeviceSpec& find_device(
    std::string_view name, std::span<const DeviceSpec> catalogue = device_catalogue());

/// Opens the DEVICE argument of commands: a name in the catalogue, or the path of a device file
/// (any text that ends in ".json"). Throws as find_device and read_device.
[[nodiscard]] DeviceSpec open_device(const std::string& name_or_path,
                                     std::span<const DeviceSpec> catalogue = device_catalogue());

/// Reads a device file. Throws Error(kIo), and Error(kInvalidArgument) with the path of the invalid
/// key ("constants.link.unit") and the expected value. Bases are entries of `catalogue`.
[[nodiscard]] DeviceSpec read_device(const std::filesystem::path& path,
                                     std::span<const DeviceSpec> catalogue = device_catalogue());

/// Parses the text of a device file. `label` names the source in messages. Throws as read_device.
[[nodiscard]] DeviceSpec parse_device(std::string_view text, const std::string& label,
                                      std::span<const DeviceSpec> catalogue = device_catalogue());

/// A constant that a device file may set, with its key and the unit of its limits.
struct NamedConstant {
  std::string_view key;
  std::string_view unit;     // of `smallest` and `largest`; docs/formats.md lists all units
  double in_unit = 0;        // the size of one `unit` in the constant's own unit
  double smallest = 0;       // inclusive, in `unit`
  double largest = 0;        // inclusive, in `unit`
  std::string_view meaning;  // one line
  Constant* (*of)(DeviceSpec&);
};

/// Returns all constants that a device file may set, in a fixed order.
[[nodiscard]] std::span<const NamedConstant> device_constants();

// --- Pools

/// Parses the DEVICES argument of commands: pools separated by commas, each
/// `[COUNTx]DEVICE[:shared|:separate]`, as in "2xedgetpu-usb3,2xedgetpu-pcie:shared". Throws
/// Error(kInvalidArgument) for another suffix and for a count of 0 or above kMostDevices. Does not
/// look up the devices.
[[nodiscard]] std::vector<PoolName> parse_devices(std::string_view text);

/// Opens the devices of pools. Without `link`, the devices of a pool share a link if
/// `shares_controller` is set. Devices of different pools never share a link. A single pool without
/// a count gets `count` devices. Throws as open_device, and Error(kInvalidArgument) when a count is
/// missing or `count` is 0.
[[nodiscard]] std::vector<DevicePool> open_devices(
    std::span<const PoolName> names, std::uint32_t count,
    std::span<const DeviceSpec> catalogue = device_catalogue());

/// The same from text. Throws as parse_devices too.
[[nodiscard]] std::vector<DevicePool> open_devices(
    const std::string& text, std::uint32_t count,
    std::span<const DeviceSpec> catalogue = device_catalogue());

/// Opens one kind of device, `DEVICE[:shared|:separate]`, as a pool of two devices. Throws as
/// open_devices, and Error(kInvalidArgument) when the text has a count or more than one pool.
[[nodiscard]] DevicePool open_device_kind(const std::string& text);

/// Returns whether a name starts with a count, as in "2xedgetpu-usb3".
[[nodiscard]] bool has_device_count(std::string_view name);

/// Returns the number of devices in all pools.
[[nodiscard]] std::uint32_t device_count(std::span<const DevicePool> pools);

/// Returns the number of ways to choose devices for one stage from several pools, the empty choice
/// included. It is 1 for a single pool, where only the number of devices matters. Exact searches
/// accept up to kMostDeviceChoices. Counting stops soon after that limit.
[[nodiscard]] std::uint64_t device_choices(std::span<const DevicePool> pools);
inline constexpr std::uint64_t kMostDeviceChoices = 4096;

/// Returns the names of pools. A single pool has no count.
[[nodiscard]] std::vector<PoolName> names_of(std::span<const DevicePool> pools);
/// Returns pools in the form that parse_devices reads.
[[nodiscard]] std::string to_string(std::span<const PoolName> names);
[[nodiscard]] std::string to_string(std::span<const DevicePool> pools);

}  // namespace segue
