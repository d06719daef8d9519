#include <fmt/format.h>

#include <algorithm>

#include "segue/device.h"
#include "segue/error.h"

namespace segue {
namespace {

// Reports of edgetpu_compiler 16 for 68 convolutional and 64 dense models on one Edge TPU and in 2
// and 4 segments, parsed from its logs by the authors of the paper, and measured times of the same
// models on an i9-9900K. The link is not stated; the times indicate PCIe.
constexpr const char* kSweeps =
    "github.com/Jorgitou98/EdgeTPU-QuantRL-Evaluation, CONV_MACs and FC_MACs results";
constexpr const char* kPipelines =
    "github.com/Jorgitou98/EdgeTPU-QuantRL-Evaluation, raw pipelines on 2, 3 and 4 TPUs";
// Weights and instructions of 330 compiled files of 2019 to 2025, read without the compiler.
constexpr const char* kFiles = "compiled files published with google-coral and others";
// 7x7 convolution stacks, transfer tests and USB captures on a Jetson Nano.
constexpr const char* kUsbTests = "github.com/iwatake2222/EdgeTPU_Analysis, Result.xlsx, InOut";
// MobileNets and Inceptions over USB 2 on a Raspberry Pi. The published times are too small by a
// factor of ten (docs/accuracy.md).
constexpr const char* kRaspberryPi = "github.com/salimmj/coral-benchmarks, results.csv, times 10";
// Latencies of large networks on one device over USB 3, mostly streaming.
constexpr const char* kCoralTable = "coral.ai/docs/edgetpu/benchmarks";
// Networks on one to eight TPUs of a PCIe card, and CIFAR networks over USB 3.
constexpr const char* kCard = "github.com/mouad-zouhdi/sparta-edgetpu, report/figs/data";
// Three MobileNets on a Raspberry Pi CM4 with a PCIe card, and Coral's table of the Dev Board.
constexpr const char* kArmBoards =
    "github.com/google-coral/edgetpu, issue 280; coral.ai/docs/edgetpu/benchmarks";
// Depthwise convolutions with a kernel of one row.
constexpr const char* kRows = "github.com/fmfi-compbio/coral-basecaller, op_benchmark";
constexpr const char* kChip = "github.com/google-coral/libedgetpu, beagle_chip_structures.h";
constexpr const char* kClocks = "github.com/google-coral/libedgetpu, beagle_top_level_handler.cc";
constexpr const char* kDriver = "github.com/google-coral/libedgetpu, driver";

// All form factors have the same chip, so they have the same memory.
ParameterMemory parameter_memory() {
  return {
      .capacity_bytes = {8.0 * 1024 * 1024, "bytes", Evidence::kDocumented, kChip},
      .reserved_row_bytes = {1024, "bytes", Evidence::kDocumented, kChip},
      .least_reserved_rows = {272, "rows", Evidence::kDerived, kSweeps},
      .output_lanes = {64, "channels", Evidence::kDocumented, kChip},
      .input_lanes = {4, "channels", Evidence::kDocumented, kChip},
      .narrow_outputs = {16, "channels", Evidence::kDerived, kFiles},
      .small_layer_bytes = {32.0 * 1024, "bytes", Evidence::kDerived, kCard},
      .flatten_rows = {2304, "rows", Evidence::kDerived, kFiles},
  };
}

ActivationMemory activation_memory() {
  return {
      .tiles_high = {4, "tiles", Evidence::kDocumented, kChip},
      .tiles_wide = {4, "tiles", Evidence::kDocumented, kChip},
      .narrow_tile_bytes = {192 * 1024, "bytes", Evidence::kDocumented, kChip},
  };
}

// The properties in which links and their hosts differ.
struct Link {
  double bytes_per_s = 0;
  const char* link_source = "";
  double instruction_share = 0;
  double invoke_ns = 0;
  double output_ns_per_byte = 0;
  const char* host_source = "";
  double host_slowdown = 1;
  bool is_host_unknown = false;
  double busy_stretch = 1;
  bool shares_controller = false;
  const char* instruction_source = nullptr;  // null: the driver, and captures of USB
};

constexpr Link kPcie{390e6, kSweeps, 0, 0.07e6, 3.8, kSweeps};
constexpr Link kPcieMax{390e6, kSweeps, 0, 0.07e6, 1.2, kCard};
constexpr Link kPcieBusy{390e6, kSweeps, 0, 0.07e6, 3.8, kSweeps, 1, false, kMostHostStretch};
constexpr Link kCard8{390e6, kCard, 0, 0.07e6, 1.2, kCard};
constexpr Link kDevBoard{390e6, kSweeps, 1, 0.07e6, 3.8,       kCoralTable,
                         3,     true,    1, false,  kArmBoards};
constexpr Link kUsb3{430e6, kCoralTable, 1, 0.11e6, 3.8, kUsbTests, 1, false, 1, true};
constexpr Link kUsb3Pi{320e6, kCard, 1, 0.11e6, 3.8, kCard, 1.5, true, 1, true};
constexpr Link kUsb2{36e6, kUsbTests, 1, 0.25e6, 20, kRaspberryPi, 1, true, 1, true};

constexpr double kStandardClockHz = 250e6;
constexpr double kMaximumClockHz = 500e6;

Constant instruction_share(const Link& link) {
  if (link.instruction_source == nullptr)
    return {link.instruction_share, "ratio", Evidence::kDocumented, kDriver};
  return {link.instruction_share, "ratio", Evidence::kDerived, link.instruction_source};
}

Timing timing(const Link& link, double clock_hz) {
  return {
      .clock_hz = {clock_hz, "Hz", Evidence::kDocumented, kClocks},
      .operator_cycles = {1500, "cycles", Evidence::kDerived, kSweeps},
      .tap_cycles = {1.5, "cycles per word", Evidence::kDerived, kRows},
      .softmax_cycles = {100, "cycles per element", Evidence::kDerived, kRaspberryPi},
      .link_bytes_per_s = {link.bytes_per_s, "bytes/s", Evidence::kDerived, link.link_source},
      .instruction_share = instruction_share(link),
      .invoke_ns = {link.invoke_ns, "ns", Evidence::kDerived, link.host_source},
      .input_ns_per_byte = {0.25, "ns per byte", Evidence::kDerived, kUsbTests},
      .output_ns_per_byte = {link.output_ns_per_byte, "ns per byte", Evidence::kDerived,
                             link.host_source},
      .host_slowdown = {link.host_slowdown, "ratio", Evidence::kDerived, link.host_source},
      .hop_ns = {0.01e6, "ns", Evidence::kDerived,
                 "1.4 us to wake a thread in Segue (docs/performance.md), more if cores sleep"},
      .busy_stretch = {link.busy_stretch, "ratio", Evidence::kDerived, kPipelines},
      .busy_cores = {kBusyHostCores, "cores", Evidence::kDerived, kPipelines},
  };
}

// Means over 1,500 operators of eight networks, each run alone (docs/cost-model.md, "What the host
// computes"). None of them used floating point; its rate is half of that of integers.
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
      .cores = {4, "cores", Evidence::kDerived, "a guess: Raspberry Pi and Dev Board have four"},
  };
}

DeviceSpec device(const char* name, const char* description, const Link& link, double clock_hz) {
  return {name,
          description,
          parameter_memory(),
          activation_memory(),
          timing(link, clock_hz),
          host_compute(),
          link.shares_controller,
          link.is_host_unknown};
}

const std::vector<DeviceSpec>& catalogue() {
  static const std::vector<DeviceSpec> kDevices{
      device("edgetpu-usb3", "USB Accelerator on USB 3, libedgetpu1-std (250 MHz)", kUsb3,
             kStandardClockHz),
      device("edgetpu-usb3-max", "USB Accelerator on USB 3, libedgetpu1-max (500 MHz)", kUsb3,
             kMaximumClockHz),
      device("edgetpu-usb3-pi4", "USB Accelerator on USB 3 of a Raspberry Pi 4, 250 MHz", kUsb3Pi,
             kStandardClockHz),
      device("edgetpu-usb2", "USB Accelerator on USB 2, libedgetpu1-std (250 MHz)", kUsb2,
             kStandardClockHz),
      device("edgetpu-usb2-max", "USB Accelerator on USB 2, libedgetpu1-max (500 MHz)", kUsb2,
             kMaximumClockHz),
      device("edgetpu-pcie", "M.2 or mini PCIe card at 250 MHz (observed twice)", kPcie,
             kStandardClockHz),
      device("edgetpu-pcie-max", "M.2 or mini PCIe card at 500 MHz (requested by its driver)",
             kPcieMax, kMaximumClockHz),
      device("edgetpu-pcie-busy",
             "edgetpu-pcie on a host that several TPUs slow down (one measured host)", kPcieBusy,
             kStandardClockHz),
      device("edgetpu-card8", "PCIe card with 8 Edge TPUs at 250 MHz (one measured card)", kCard8,
             kStandardClockHz),
      device("edgetpu-devboard", "Dev Board (500 MHz, a slow host)", kDevBoard, kMaximumClockHz),
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

const DeviceSpec& find_device(std::string_view name, std::span<const DeviceSpec> catalogue) {
  const auto found = std::ranges::find(catalogue, name, &DeviceSpec::name);
  if (found != catalogue.end()) return *found;
  std::string known;
  for (const DeviceSpec& spec : catalogue) known += (known.empty() ? "" : ", ") + spec.name;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("unknown device '{}'; expected one of {}, or a device file (.json)", name,
                          known));
}

}  // namespace segue
