#include <fmt/format.h>

#include <algorithm>

#include "segue/device.h"
#include "segue/error.h"

namespace segue {
namespace {

// Compiler reports of 68 convolutional and 64 dense models on one Edge TPU and of their 2- and
// 4-segment pipelines, parsed from edgetpu_compiler 16 logs by the authors of the paper, and the
// times of the same models on a PCIe host (i9-9900K).
constexpr const char* kSweeps =
    "github.com/Jorgitou98/EdgeTPU-QuantRL-Evaluation, CONV_MACs and FC_MACs results";
// Bytes that tails of Keras ResNet50 and ResNet101 leave off chip, from edgetpu_compiler 16.
constexpr const char* kTails = "github.com/pm2550/TPU_Models, models_compilation.txt";
// 7x7 convolution stacks and transfer tests over USB 3 and USB 2 on a Jetson Nano.
constexpr const char* kUsbTests = "github.com/iwatake2222/EdgeTPU_Analysis, Result.xlsx";
// MobileNet v1 in 16 sizes over USB 3 on a workstation, first and later invocations.
constexpr const char* kMobileNets = "github.com/salimmj/coral-benchmarks, results.csv";
// Latencies of large networks on one device over USB 3, most of it streaming.
constexpr const char* kCoralTable = "coral.ai/docs/edgetpu/benchmarks";
constexpr const char* kChip = "github.com/google-coral/libedgetpu, beagle_chip_structures.h";
constexpr const char* kClocks = "github.com/google-coral/libedgetpu, beagle_top_level_handler.cc";

// Every form factor carries the same chip, so the memory is one for all.
ParameterMemory parameter_memory() {
  return {
      .capacity_bytes = {7.74 * 1024 * 1024, "bytes", Evidence::kDerived, kSweeps},
      .input_share = {0.60, "bytes per byte", Evidence::kDerived, kSweeps},
      .output_lanes = {64, "channels", Evidence::kDerived, kSweeps},
      .input_lanes = {4, "channels", Evidence::kDerived, kSweeps},
      .channel_bytes = {8, "bytes per channel", Evidence::kDerived, kSweeps},
      .streamed_channel_bytes = {4, "bytes per channel", Evidence::kDerived, kTails},
      .small_layer_bytes = {0.2 * 1024 * 1024, "bytes", Evidence::kDerived, kSweeps},
  };
}

ActivationMemory activation_memory() {
  return {
      .tiles_high = {4, "tiles", Evidence::kDocumented, kChip},
      .tiles_wide = {4, "tiles", Evidence::kDocumented, kChip},
      .narrow_tile_bytes = {192 * 1024, "bytes", Evidence::kDocumented, kChip},
  };
}

// What tells one link from another.
struct Link {
  double bytes_per_s = 0;
  const char* link_source = "";
  double invoke_ns = 0;
  double output_ns_per_byte = 0;
  double output_window_bytes = 0;
  const char* host_source = "";
};

// Half of the 256 KiB of second-level cache of a core of the measured host: an output and its
// re-laid copy stay in it, and only the link counts.
constexpr double kOutputWindowBytes = 128 * 1024;

constexpr Link kPcie{394e6, kSweeps, 0.10e6, 8.75, kOutputWindowBytes, kSweeps};
constexpr Link kUsb3{430e6, kCoralTable, 0.19e6, 22.1, 0, kUsbTests};
constexpr Link kUsb2{35.5e6, kUsbTests, 0.255e6, 58.1, 0, kUsbTests};

constexpr double kStandardClockHz = 250e6;
constexpr double kMaximumClockHz = 500e6;

Timing timing(const Link& link, double clock_hz) {
  return {
      .clock_hz = {clock_hz, "Hz", Evidence::kDocumented, kClocks},
      .link_bytes_per_s = {link.bytes_per_s, "bytes/s", Evidence::kDerived, link.link_source},
      .invoke_ns = {link.invoke_ns, "ns", Evidence::kDerived, link.host_source},
      .input_ns_per_byte = {0.5, "ns per byte", Evidence::kDerived, kMobileNets},
      .output_ns_per_byte = {link.output_ns_per_byte, "ns per byte", Evidence::kDerived,
                             link.host_source},
      .output_window_bytes = {link.output_window_bytes, "bytes", Evidence::kDocumented,
                              "second-level cache of an Intel i9-9900K, halved"},
      .exposed_share = {0.5, "ratio", Evidence::kDerived, kSweeps},
      .host_slowdown = {1, "ratio", Evidence::kDocumented, "a desktop computer is the unit"},
      .hop_ns = {0.25e6, "ns", Evidence::kMeasured, kSweeps},
  };
}

// Means over 1,500 operators of eight networks, each run alone (docs/cost-model.md, "What the host
// computes"). None of them was of floating point: that rate is half the integers'.
constexpr const char* kHostKernels = "TensorFlow Lite 2.21.0, builtin kernels, one x86-64 core";
HostCompute host_compute() {
  return {
      .int8_macs_per_s = {20e9, "MAC/s", Evidence::kMeasured, kHostKernels},
      .float_macs_per_s = {10e9, "MAC/s", Evidence::kDerived, "half the rate of integers"},
      .depthwise_macs_per_s = {0.3e9, "MAC/s", Evidence::kMeasured, kHostKernels},
      .element_ns = {12, "ns per element", Evidence::kMeasured, kHostKernels},
      .moved_element_ns = {0.5, "ns per element", Evidence::kMeasured, kHostKernels},
      .memory_bytes_per_s = {13e9, "bytes/s", Evidence::kMeasured, kHostKernels},
      .operator_ns = {1e3, "ns", Evidence::kMeasured, kHostKernels},
      .cores = {4, "cores", Evidence::kDocumented,
                "desktops, Raspberry Pi and Dev Board have four"},
  };
}

DeviceSpec device(const char* name, const char* description, const Link& link, double clock_hz) {
  return {
      name,          description, parameter_memory(), activation_memory(), timing(link, clock_hz),
      host_compute()};
}

const std::vector<DeviceSpec>& catalogue() {
  static const std::vector<DeviceSpec> kDevices{
      device("edgetpu-usb3", "USB Accelerator on USB 3, standard clock (250 MHz)", kUsb3,
             kStandardClockHz),
      device("edgetpu-usb3-max", "USB Accelerator on USB 3, maximum clock (500 MHz)", kUsb3,
             kMaximumClockHz),
      device("edgetpu-usb2", "USB Accelerator on USB 2, standard clock (250 MHz)", kUsb2,
             kStandardClockHz),
      device("edgetpu-usb2-max", "USB Accelerator on USB 2, maximum clock (500 MHz)", kUsb2,
             kMaximumClockHz),
      device("edgetpu-pcie", "M.2 or PCIe card, standard clock (250 MHz)", kPcie, kStandardClockHz),
      device("edgetpu-pcie-max", "M.2 or PCIe card, maximum clock (500 MHz)", kPcie,
             kMaximumClockHz),
      device("edgetpu-devboard", "Dev Board (500 MHz)", kPcie, kMaximumClockHz),
  };
  return kDevices;
}

}  // namespace

std::string_view to_string(Evidence evidence) {
  switch (evidence) {
    case Evidence::kDocumented:
      return "documented";
    case Evidence::kMeasured:
      return "measured";
    case Evidence::kDerived:
      return "derived";
    case Evidence::kUser:
      return "user";
  }
  return "unknown";
}

std::span<const DeviceSpec> device_catalogue() { return catalogue(); }

const DeviceSpec& find_device(std::string_view name) {
  const auto found = std::ranges::find(catalogue(), name, &DeviceSpec::name);
  if (found != catalogue().end()) return *found;
  std::string known;
  for (const DeviceSpec& spec : catalogue()) known += (known.empty() ? "" : ", ") + spec.name;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("unknown device '{}'; choose one of {}, or give a device file (.json)",
                          name, known));
}

}  // namespace segue
