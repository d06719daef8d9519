#include "runtime/edgetpu/hardware.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/edgetpu/sysfs.h"

namespace segue {
namespace {

namespace fs = std::filesystem;

// Whether the name is that of a root hub such as "usb2", which is a child of the bus's host
// controller.
bool is_root_hub(const std::string& name) {
  constexpr std::string_view kPrefix = "usb";
  return name.starts_with(kPrefix) && name.size() > kPrefix.size() &&
         name.find_first_not_of("0123456789", kPrefix.size()) == std::string::npos;
}

// Returns the folder in which the driver describes a device.
fs::path folder_of(const EdgeTpuDevice& device, const fs::path& sysfs) {
  const fs::path name = fs::path(device.path).filename();
  return device.link == EdgeTpuDevice::Link::kPcie ? sysfs / "class/apex" / name
                                                   : sysfs / "bus/usb/devices" / name;
}

std::string link_target(const fs::path& link) {
  std::error_code reason;
  return fs::read_symlink(link, reason).filename().string();
}

std::string apex_node(const std::string& address, const fs::path& sysfs) {
  for (const fs::path& node : entries(sysfs / "class/apex")) {
    if (link_target(node / "device") == address) return node.filename().string();
  }
  return "";
}

// Returns why libedgetpu does not list a card or stick. It lists the entries of /sys/class/apex
// whose node in /dev is a character device, and the devices that libusb finds
// (driver_factory_default.cc and local_usb_device.cc of libedgetpu). Neither requires that the user
// may open the device.
std::string reason_unlisted(const fs::path& node) {
  std::error_code reason;
  const fs::file_status status = fs::status(node, reason);
  if (!fs::exists(status)) return node.string() + " is missing";
  if (!fs::is_character_file(status)) return node.string() + " is not a character device";
  return "libedgetpu does not list it";
}

std::string reason_unlisted(const PcieCard& card, const fs::path& dev) {
  if (!card.node.empty()) return reason_unlisted(dev / card.node);
  if (card.driver.empty()) return "it has no driver";
  return card.driver == "apex" ? "driver 'apex' created no device for it"
                               : fmt::format("driver '{}' uses it", card.driver);
}

EdgeTpuDevice device_at(EdgeTpuDevice::Link link, const std::string& path, const fs::path& root) {
  EdgeTpuDevice device;
  device.link = link;
  device.path = path;
  describe(device, root / "sys");
  return device;
}

EdgeTpuDevice device_of(const PcieCard& card, const fs::path& root) {
  EdgeTpuDevice device = device_at(
      EdgeTpuDevice::Link::kPcie,
      card.node.empty() ? "/sys/bus/pci/devices/" + card.address : "/dev/" + card.node, root);
  device.unlisted = reason_unlisted(card, root / "dev");
  return device;
}

EdgeTpuDevice device_of(const UsbStick& stick, const fs::path& root) {
  EdgeTpuDevice device =
      device_at(EdgeTpuDevice::Link::kUsb, "/sys/bus/usb/devices/" + stick.port, root);
  device.unlisted = reason_unlisted(root / "dev" / stick.node);
  return device;
}

}  // namespace

// Example: /sys/devices/pci0000:00/0000:00:14.0/usb2/2-1 belongs to the controller 0000:00:14.0.
// The two buses of a USB 3 controller, one per speed, have the same parent.
std::string usb_controller(const fs::path& stick) {
  std::error_code reason;
  std::string parent;
  for (const fs::path& part : fs::canonical(stick, reason)) {
    if (is_root_hub(part.string())) return parent;
    parent = part.string();
  }
  return "";
}

void describe(EdgeTpuDevice& device, const fs::path& sysfs) {
  const fs::path folder = folder_of(device, sysfs);
  device.temperature_c = read_temperature_c(device, sysfs);
  if (device.link == EdgeTpuDevice::Link::kPcie) {
    device.unique_id = first_line(folder / "unique_id");
    return;
  }
  device.controller = usb_controller(folder);
  if (const auto speed = number_in(folder / "speed"); speed && *speed > 0)
    device.link_speed_mbps = static_cast<std::uint32_t>(*speed);
}

std::optional<double> read_temperature_c(const EdgeTpuDevice& device, const fs::path& sysfs) {
  if (device.link != EdgeTpuDevice::Link::kPcie) return std::nullopt;
  const auto millidegrees = number_in(folder_of(device, sysfs) / "temp");
  if (!millidegrees || *millidegrees < kNoTemperature) return std::nullopt;
  return static_cast<double>(*millidegrees) / 1000;
}

std::vector<PcieCard> find_pcie_cards(const fs::path& sysfs) {
  std::vector<PcieCard> cards;
  for (const fs::path& card : entries(sysfs / "bus/pci/devices")) {
    // These are the vendor number of Global Unichip and the device number of the Edge TPU.
    if (first_line(card / "vendor") != "0x1ac1" || first_line(card / "device") != "0x089a")
      continue;
    const std::string address = card.filename().string();
    cards.push_back({address, link_target(card / "driver"), apex_node(address, sysfs)});
  }
  return cards;
}

std::vector<UsbStick> find_usb_sticks(const fs::path& sysfs) {
  std::vector<UsbStick> sticks;
  for (const fs::path& stick : entries(sysfs / "bus/usb/devices")) {
    const std::string id = first_line(stick / "idVendor") + ":" + first_line(stick / "idProduct");
    if (id != "1a6e:089a" && id != "18d1:9302") continue;
    const std::string node =
        fmt::format("bus/usb/{:03}/{:03}", number_in(stick / "busnum").value_or(0),
                    number_in(stick / "devnum").value_or(0));
    sticks.push_back({stick.filename().string(), id == "18d1:9302", usb_controller(stick), node,
                      number_in(stick / "speed")});
  }
  return sticks;
}

std::vector<EdgeTpuDevice> find_unlisted_devices(std::span<const EdgeTpuDevice> listed,
                                                 const fs::path& root) {
  std::vector<EdgeTpuDevice> devices;
  for (const PcieCard& card : find_pcie_cards(root / "sys"))
    devices.push_back(device_of(card, root));
  for (const UsbStick& stick : find_usb_sticks(root / "sys"))
    devices.push_back(device_of(stick, root));
  std::erase_if(devices, [&](const EdgeTpuDevice& device) {
    return std::ranges::count(listed, device.name(), &EdgeTpuDevice::name) > 0;
  });
  return devices;
}

}  // namespace segue
