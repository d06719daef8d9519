#include <fmt/format.h>

#include <array>
#include <cmath>

#include "base/internal/json/node.h"
#include "segue/calibrate.h"
#include "segue/error.h"

namespace segue {

std::string calibrated_device_json(const CalibrationResult& result, const std::string& name) {
  using Json = nlohmann::ordered_json;
  Json constants = Json::object();
  for (const CalibratedConstant& constant : result.constants) {
    constants[constant.key] = {
        {"value", constant.measured}, {"unit", constant.unit}, {"source", "segue calibrate"}};
  }
  Json document{{"schema", "segue.device/1"},
                {"name", name},
                {"base", result.base},
                {"description", fmt::format("{} on a measured host", result.base)},
                {"constants", std::move(constants)}};
  if (const auto& check = result.device.calibration)
    document["calibrated"] = {{"low", check->low}, {"high", check->high}};
  std::string text = json::to_text(document);
  (void)parse_device(text, name);
  return text;
}

const DeviceSpec& calibration_base(const EdgeTpuDevice& device) {
  if (device.link == EdgeTpuDevice::Link::kPcie) return find_device("edgetpu-pcie");
  constexpr std::uint32_t kUsb2Mbps = 480;
  return find_device(device.link_speed_mbps.value_or(kUsb2Mbps + 1) <= kUsb2Mbps ? "edgetpu-usb2"
                                                                                 : "edgetpu-usb3");
}

void check_calibration_base(const DeviceSpec& base, const EdgeTpuDevice& device) {
  const bool is_usb = device.link == EdgeTpuDevice::Link::kUsb;
  if (is_usb == (base.timing.instruction_share.value > 0)) return;
  throw Error(
      ErrorCode::kInvalidArgument,
      fmt::format("'{}' is not on {}, but {} is; use a base with the same link, for example {}",
                  base.name, is_usb ? "USB" : "PCIe", device.name(),
                  calibration_base(device).name));
}

std::string clock_sentence(const CalibrationResult& result) {
  constexpr double kNear = 0.15;
  constexpr std::array kKnownMhz{250.0, 500.0};  // of libedgetpu1-std and -max
  double measured = 0;
  double base = 0;
  for (const CalibratedConstant& constant : result.constants) {
    if (constant.key != "clock") continue;
    measured = constant.measured;
    base = constant.base;
  }
  const auto is_near = [&](double mhz) { return std::abs(measured / mhz - 1) <= kNear; };
  if (is_near(base))
    return fmt::format("The measured clock matches the {:g} MHz of {}.", base, result.base);
  for (const double known : kKnownMhz) {
    if (!is_near(known)) continue;
    return fmt::format(
        "The device runs at {:g} MHz ({:g} measured), not at the {:g} MHz of {}; plans with this "
        "file use the measured clock.",
        known, measured, base, result.base);
  }
  return fmt::format(
      "The measured clock is {:g} MHz, which is neither the {:g} MHz of {} nor another clock that "
      "libedgetpu sets (250, 500); a hot chip lowers its clock: let it cool and measure again.",
      measured, base, result.base);
}

}  // namespace segue
