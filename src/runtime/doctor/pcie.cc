#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <vector>

#include "runtime/doctor/gasket.h"
#include "runtime/doctor/links.h"
#include "runtime/edgetpu/sysfs.h"
#include "segue/units.h"

namespace segue {
namespace {

namespace fs = std::filesystem;

constexpr const char* kNode = "apex-node";

const AccessRule& apex_rule() {
  static const AccessRule rule{"apex-access", "apex",
                               "install the udev rule SUBSYSTEM==\"apex\", MODE=\"0660\", "
                               "GROUP=\"apex\" (gasket-dkms has it since 1.0-17)"};
  return rule;
}

// Returns the limits at which the device throttles. The driver rounds them to steps of a quarter
// degree, so 85 reads 84.8.
std::array<double, 3> throttle_celsius(const fs::path& device) {
  std::array<double, 3> limits = kThrottleCelsius;
  for (std::size_t i = 0; i < limits.size(); ++i) {
    if (const auto value = number_in(device / fmt::format("trip_point{}_temp", i)))
      limits[i] = static_cast<double>(*value) / 1000;
  }
  return limits;
}

std::string limits_text(const fs::path& device, const std::array<double, 3>& limits) {
  const std::string text =
      fmt::format("it throttles at {:.0f}, {:.0f} and {:.0f} C", limits[0], limits[1], limits[2]);
  const auto off = number_in(device / "hw_temp_warn2");
  if (!off || number_in(device / "hw_temp_warn2_en") != 1) return text;
  return fmt::format("{}, and switches off at {:.0f} C", text, static_cast<double>(*off) / 1000);
}

void check_temperature(Findings& findings, const std::string& name, const fs::path& device) {
  const auto millidegrees = number_in(device / "temp");
  if (!millidegrees) return;
  const double celsius = static_cast<double>(*millidegrees) / 1000;
  const std::string reading = fmt::format("{} is at {:.0f} C", name, celsius);
  if (*millidegrees < kNoTemperature) {
    findings.problem("temperature",
                     fmt::format("{} reports {:.1f} C: the chip does not answer", name, celsius),
                     "power-cycle the machine; chips report this value after overheating or a loss "
                     "of power: cool the card, or try another slot");
    return;
  }
  const auto limits = throttle_celsius(device);
  const auto passed = std::ranges::count_if(limits, [&](double at) { return celsius >= at; });
  if (passed == 0) {
    findings.good("temperature", fmt::format("{}; {}", reading, limits_text(device, limits)));
    return;
  }
  constexpr std::array kClocks{"250", "125", "62.5"};
  findings.note("temperature",
                fmt::format("{}: the driver lowers its clock from 500 to {} MHz", reading,
                            kClocks.at(static_cast<std::size_t>(passed) - 1)),
                "cool it: " + limits_text(device, limits));
}

void check_node(Findings& findings, const fs::path& dev, const std::string& name,
                const User& user) {
  const std::string path = "/dev/" + name;
  const DeviceNode node = look_at(dev / name, user);
  if (node.kind == DeviceNode::Kind::kMissing) {
    findings.problem(kNode, fmt::format("driver 'apex' created {}, but {} is missing", name, path),
                     fmt::format("in a container, map the device (docker run --device {}); "
                                 "otherwise run `sudo udevadm trigger`",
                                 path));
  } else if (node.kind == DeviceNode::Kind::kNotDevice) {
    // LXC's "bind,optional,create=file" creates such a file if the host has no device:
    // google-coral/edgetpu #644.
    findings.problem(kNode,
                     fmt::format("{} is not a character device, so libedgetpu ignores it", path),
                     "remove it; container configurations create such files if the device is "
                     "missing on the host, so check the host first");
  } else {
    check_access(findings, path, node, user, apex_rule());
  }
}

bool has_other_driver(const PcieCard& card) {
  return !card.driver.empty() && card.driver != "apex";
}

void check_missing(Findings& findings, std::span<const PcieCard> cards) {
  for (const PcieCard& card : cards) {
    if (!card.node.empty()) continue;
    if (has_other_driver(card)) {
      findings.problem(
          "pcie-driver",
          fmt::format("driver '{}' uses the Edge TPU at {}", card.driver, card.address),
          "the driver vfio-pci reserves a card for a virtual machine: run Segue in that machine, "
          "or remove the card from its configuration");
      continue;
    }
    findings.problem(
        "pcie-device",
        fmt::format("driver 'apex' created no device for the Edge TPU at {}", card.address),
        "search the kernel log for 'apex' (`sudo dmesg`); a card with two Edge TPUs needs a slot "
        "with two lanes, or an adapter");
  }
}

}  // namespace

void check_pcie(Findings& findings, const Machine& machine, std::span<const PcieCard> cards,
                const User& user) {
  const fs::path sysfs = machine.root / "sys";
  const auto count_of = [](std::size_t count) {
    return format_count(count, "Edge TPU") + " on PCIe";
  };
  std::vector<PcieCard> others;
  std::ranges::copy_if(cards, std::back_inserter(others), has_other_driver);
  std::error_code reason;
  if (others.size() < cards.size() && !fs::exists(sysfs / "module/apex", reason)) {
    check_missing(findings, others);
    return check_gasket(findings, machine, count_of(cards.size() - others.size()));
  }
  if (!cards.empty() && others.size() == cards.size()) return check_missing(findings, cards);
  if (!cards.empty() && std::ranges::count(cards, "", &PcieCard::node) == 0)
    findings.good("pcie-device", count_of(cards.size()));
  check_missing(findings, cards);
  for (const fs::path& device : entries(sysfs / "class/apex")) {
    const std::string name = device.filename().string();
    check_node(findings, machine.root / "dev", name, user);
    check_temperature(findings, name, device);
  }
}

}  // namespace segue
