#include <fmt/format.h>

#include <algorithm>

#include "segue/device.h"
#include "segue/error.h"

namespace segue {
namespace {

// Compiler reports of 68 convolutional and 64 dense models on one Edge TPU and of their 2- and
// 4-segment pipelines, parsed from edgetpu_compiler 16 logs by the authors of the paper.
constexpr std::string_view kSweeps =
    "github.com/Jorgitou98/EdgeTPU-QuantRL-Evaluation, CONV_MACs and FC_MACs results";
// Bytes that tails of Keras ResNet50 and ResNet101 leave off chip, from edgetpu_compiler 16.
constexpr std::string_view kTails = "github.com/pm2550/TPU_Models, models_compilation.txt";

// Every form factor carries the same chip, so the memory is one for all.
constexpr ParameterMemory kMemory{
    .capacity_bytes = {7.74 * 1024 * 1024, "bytes", Evidence::kDerived, kSweeps},
    .input_share = {0.60, "bytes per byte", Evidence::kDerived, kSweeps},
    .output_lanes = {64, "channels", Evidence::kDerived, kSweeps},
    .input_lanes = {4, "channels", Evidence::kDerived, kSweeps},
    .channel_bytes = {8, "bytes per channel", Evidence::kDerived, kSweeps},
    .streamed_channel_bytes = {4, "bytes per channel", Evidence::kDerived, kTails},
    .small_layer_bytes = {0.2 * 1024 * 1024, "bytes", Evidence::kDerived, kSweeps},
};

constexpr std::string_view kChip = "google-coral/libedgetpu, beagle_chip_structures.h";
constexpr ActivationMemory kActivations{
    .tiles_high = {4, "tiles", Evidence::kDocumented, kChip},
    .tiles_wide = {4, "tiles", Evidence::kDocumented, kChip},
    .narrow_tile_bytes = {192 * 1024, "bytes", Evidence::kDocumented, kChip},
};

const std::vector<DeviceSpec>& catalogue() {
  static const std::vector<DeviceSpec> kDevices{
      {"edgetpu-usb3", "USB Accelerator on USB 3, standard clock (250 MHz)", kMemory, kActivations},
      {"edgetpu-usb3-max", "USB Accelerator on USB 3, maximum clock (500 MHz)", kMemory,
       kActivations},
      {"edgetpu-usb2", "USB Accelerator on USB 2, standard clock (250 MHz)", kMemory, kActivations},
      {"edgetpu-usb2-max", "USB Accelerator on USB 2, maximum clock (500 MHz)", kMemory,
       kActivations},
      {"edgetpu-pcie", "M.2 or PCIe card, standard clock (250 MHz)", kMemory, kActivations},
      {"edgetpu-pcie-max", "M.2 or PCIe card, maximum clock (500 MHz)", kMemory, kActivations},
      {"edgetpu-devboard", "Dev Board (500 MHz)", kMemory, kActivations},
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
  }
  return "unknown";
}

std::span<const DeviceSpec> device_catalogue() { return catalogue(); }

const DeviceSpec& find_device(std::string_view name) {
  const auto found = std::ranges::find(catalogue(), name, &DeviceSpec::name);
  if (found != catalogue().end()) return *found;
  std::string known;
  for (const DeviceSpec& device : catalogue()) known += (known.empty() ? "" : ", ") + device.name;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("unknown device '{}'; choose one of {}", name, known));
}

}  // namespace segue
