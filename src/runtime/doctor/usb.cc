#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "runtime/doctor/links.h"

namespace segue {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kUsb3Mbps = 5000;

const AccessRule& usb_rule() {
  static const AccessRule rule{
      "usb-access", "plugdev",
      "install udev rules with GROUP=\"plugdev\" for 1a6e:089a and for 18d1:9302 (libedgetpu1-std "
      "has them) and plug the stick in again"};
  return rule;
}

std::string name_of(const UsbStick& stick) { return "usb:" + stick.port; }

// The port "2-1.3" is port 1.3 of bus 2.
std::string place_of(const UsbStick& stick) {
  const std::size_t dash = stick.port.find('-');
  std::string text =
      fmt::format("bus {}, port {}", stick.port.substr(0, dash), stick.port.substr(dash + 1));
  if (!stick.controller.empty()) text += ", controller " + stick.controller;
  return text;
}

void check_stick(Findings& findings, const UsbStick& stick) {
  const std::string state =
      stick.has_firmware
          ? "18d1:9302"
          : "1a6e:089a; it becomes 18d1:9302 when its firmware is loaded on first use";
  findings.good("usb-device", fmt::format("{}: an Edge TPU on USB at {} ({})", name_of(stick),
                                          place_of(stick), state));
  if (!stick.speed_mbps || *stick.speed_mbps >= kUsb3Mbps) return;
  findings.note(
      "usb-speed",
      fmt::format("{} is connected at {} Mbit/s (USB 2)", name_of(stick), *stick.speed_mbps),
      "use a USB 3 port and cable: transfers are about ten times faster");
}

void check_node(Findings& findings, const fs::path& dev, const UsbStick& stick, const User& user) {
  const std::string path = "/dev/" + stick.node;
  const DeviceNode node = look_at(dev / stick.node, user);
  if (node.kind == DeviceNode::Kind::kDevice) {
    check_access(findings, fmt::format("{} ({})", path, name_of(stick)), node, user, usb_rule());
    return;
  }
  findings.problem(
      "usb-node",
      fmt::format("{} ({}) is {}", path, name_of(stick),
                  node.kind == DeviceNode::Kind::kMissing ? "missing" : "not a character device"),
      "in a container, map all of /dev/bus/usb (docker run -v /dev/bus/usb:/dev/bus/usb "
      "--device-cgroup-rule 'c 189:* rwm'): the device number changes when the firmware is loaded");
}

// Returns the hub of a stick: "2-1" for "2-1.3", none for "2-1".
std::string hub_of(const UsbStick& stick) {
  const std::size_t dot = stick.port.rfind('.');
  return dot == std::string::npos ? "" : stick.port.substr(0, dot);
}

void check_shared(Findings& findings, const std::string& controller,
                  std::span<const UsbStick* const> sticks) {
  std::vector<std::string> names;
  for (const UsbStick* stick : sticks) names.push_back(name_of(*stick));
  const std::string hub = hub_of(*sticks[0]);
  const bool is_one_hub = !hub.empty() && std::ranges::all_of(sticks, [&](const UsbStick* stick) {
    return hub_of(*stick) == hub;
  });
  findings.note(
      "usb-controller",
      fmt::format("{} Edge TPUs share the USB controller {}{}: {}", sticks.size(), controller,
                  is_one_hub ? fmt::format(" and the hub at {}", hub) : "", fmt::join(names, ", ")),
      fmt::format("plan with --device {0}xedgetpu-usb3, which models a shared link, or connect "
                  "them to separate controllers and plan with {0}xedgetpu-usb3:separate; each "
                  "draws up to 900 mA, so a hub needs a power supply",
                  sticks.size()));
}

}  // namespace

void check_usb(Findings& findings, const Machine& machine, std::span<const UsbStick> sticks,
               const User& user) {
  std::map<std::string, std::vector<const UsbStick*>> by_controller;
  for (const UsbStick& stick : sticks) {
    check_stick(findings, stick);
    check_node(findings, machine.root / "dev", stick, user);
    if (!stick.controller.empty()) by_controller[stick.controller].push_back(&stick);
  }
  for (const auto& [controller, group] : by_controller) {
    if (group.size() > 1) check_shared(findings, controller, group);
  }
}

}  // namespace segue
