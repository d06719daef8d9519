// Edge TPUs in sysfs, whether libedgetpu lists them or not.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "segue/edgetpu.h"

namespace segue {

struct PcieCard {
  std::string address;  // "0000:01:00.0"
  std::string driver;   // "apex", "vfio-pci"; empty: no driver
  std::string node;     // "apex_0"; empty if the driver has no device for it
};

struct UsbStick {
  std::string port;        // "2-1.3": bus 2, port 1, and port 3 of the hub there
  bool has_firmware{};     // 18d1:9302; it is 1a6e:089a until a program opens it for the first time
  std::string controller;  // "0000:00:14.0"; empty if sysfs does not show it
  std::string node;        // "bus/usb/002/003", below /dev
  std::optional<std::int64_t> speed_mbps;
};

// Adds the kernel's information on the device with this link and path.
void describe(EdgeTpuDevice& device, const std::filesystem::path& sysfs);

// Returns the cards in the order of their addresses.
[[nodiscard]] std::vector<PcieCard> find_pcie_cards(const std::filesystem::path& sysfs);

// Returns the sticks in the order of their ports.
[[nodiscard]] std::vector<UsbStick> find_usb_sticks(const std::filesystem::path& sysfs);

// Returns the host controller of a stick's bus. `stick` is the stick's folder in sysfs. Empty if
// the folder is not a link into the device tree.
[[nodiscard]] std::string usb_controller(const std::filesystem::path& stick);

}  // namespace segue
