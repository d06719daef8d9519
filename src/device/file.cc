#include "segue/file.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "base/internal/json/node.h"
#include "segue/device.h"
#include "segue/error.h"
#include "segue/units.h"

namespace segue {
namespace {

constexpr std::string_view kSchema = "segue.device/1";
constexpr std::size_t kLargestFileBytes = std::size_t{1} << 20U;
constexpr std::size_t kLongestName = 100;

using json::Node;

// The units that files may use, and their size in the constant's own unit.
struct Unit {
  std::string_view name;
  double factor = 1;
};
constexpr std::array<Unit, 3> kFrequencies{{{"Hz", 1}, {"MHz", 1e6}, {"GHz", 1e9}}};
constexpr std::array<Unit, 3> kRates{{{"B/s", 1}, {"MB/s", 1e6}, {"GB/s", 1e9}}};
constexpr std::array<Unit, 3> kMacRates{{{"MAC/s", 1}, {"MMAC/s", 1e6}, {"GMAC/s", 1e9}}};
constexpr std::array<Unit, 3> kTimes{{{"ns", 1}, {"us", 1e3}, {"ms", 1e6}}};
constexpr std::array<Unit, 2> kTimesPerByte{{{"ns/B", 1}, {"ms/MB", 1}}};
constexpr std::array<Unit, 3> kBytes{{{"B", 1}, {"KiB", 1024}, {"MiB", 1024.0 * 1024.0}}};
constexpr std::array<Unit, 1> kRatios{{{"ratio", 1}}};
constexpr std::array<Unit, 1> kCycles{{{"cycles", 1}}};
constexpr std::array<Unit, 1> kCores{{{"cores", 1}}};

std::span<const Unit> units_of(const NamedConstant& constant) {
  const std::array<std::span<const Unit>, 9> families{
      kFrequencies, kRates, kMacRates, kTimes, kTimesPerByte, kBytes, kRatios, kCycles, kCores};
  for (const auto family : families) {
    for (const Unit& unit : family) {
      if (unit.name == constant.unit) return family;
    }
  }
  return kRatios;
}

double factor_of(const NamedConstant& constant, const Node& unit) {
  std::string known;
  for (const Unit& candidate : units_of(constant)) {
    if (candidate.name == unit.text()) return candidate.factor;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", candidate.name);
  }
  unit.fail(fmt::format("is \"{}\"; must be one of {}", unit.text(), known));
}

const NamedConstant& find_constant(const std::string& key, const Node& node) {
  std::vector<std::string> known;
  for (const NamedConstant& constant : device_constants()) {
    if (constant.key == key) return constant;
    known.emplace_back(constant.key);
  }
  node.fail(fmt::format("unknown constant{}; supported constants: {}", did_you_mean(key, known),
                        fmt::join(known, ", ")));
}

void set_constant(DeviceSpec& device, const NamedConstant& constant, const Node& node) {
  node.expect_keys({"value", "unit"}, {"source"});
  const double factor = factor_of(constant, node["unit"]);
  const double value = node["value"].real() * factor;
  const double in_unit = value / constant.in_unit;
  if (!(in_unit >= constant.smallest && in_unit <= constant.largest)) {
    node["value"].fail(fmt::format("is {:g} {}; must be from {:g} to {:g} {}", node["value"].real(),
                                   node["unit"].text(), constant.smallest, constant.largest,
                                   constant.unit));
  }
  Constant& target = *constant.of(device);
  target.value = value;
  target.evidence = Evidence::kUser;
  target.source = node.has("source") ? node["source"].text() : "device file";
}

Calibration calibration(const Node& node) {
  node.expect_keys({"low", "high"});
  const Calibration result{node["low"].real(), node["high"].real()};
  constexpr double kMost = 100;
  if (!(result.low >= 1 / kMost && result.low <= kMost))
    node["low"].fail("must be from 0.01 to 100");
  if (!(result.high >= result.low && result.high <= kMost))
    node["high"].fail("must be from \"low\" to 100");
  return result;
}

// Checks a device name, which appears in plans and on terminals and must not be that of a catalogue
// device.
void check_name(const Node& node) {
  const std::string name = node.text();
  if (name.empty() || name.size() > kLongestName)
    node.fail(fmt::format("must have 1 to {} bytes", kLongestName));
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7F; };
  if (std::ranges::any_of(name, is_control)) node.fail("must not contain control characters");
  if (name.find_first_of(",:") != std::string::npos || has_device_count(name))
    node.fail(
        "must not look like a list of devices (a comma, a colon, or a number and x in front)");
  if (std::ranges::find(device_catalogue(), name, &DeviceSpec::name) != device_catalogue().end())
    node.fail(fmt::format("'{}' is already a device of the catalogue; choose another name", name));
}

}  // namespace

std::span<const NamedConstant> device_constants() {
  static const std::array<NamedConstant, 23> kConstants{{
      {"clock", "MHz", 1e6, 1, 10'000, "clock of the array",
       [](DeviceSpec& d) { return &d.timing.clock_hz; }},
      {"operator", "cycles", 1, 0, 1e5, "cycles to start and end each operator",
       [](DeviceSpec& d) { return &d.timing.operator_cycles; }},
      {"tap", "cycles", 1, 0, 1e6, "cycles per word read for a window or from a neighbour tile",
       [](DeviceSpec& d) { return &d.timing.tap_cycles; }},
      {"softmax", "cycles", 1, 0, 1e5, "cycles per element of a softmax",
       [](DeviceSpec& d) { return &d.timing.softmax_cycles; }},
      {"link", "MB/s", 1e6, 0.1, 100'000,
       "bandwidth in each direction: inputs, parameters, instructions, outputs",
       [](DeviceSpec& d) { return &d.timing.link_bytes_per_s; }},
      {"instructions", "ratio", 1, 0, 1, "share of the instructions sent before every input",
       [](DeviceSpec& d) { return &d.timing.instruction_share; }},
      {"invoke", "ms", 1e6, 0, 1000, "fixed time of one inference, on a desktop host",
       [](DeviceSpec& d) { return &d.timing.invoke_ns; }},
      {"input", "ns/B", 1, 0, 10'000,
       "time to copy inputs on a desktop host, in addition to the link",
       [](DeviceSpec& d) { return &d.timing.input_ns_per_byte; }},
      {"output", "ns/B", 1, 0, 10'000,
       "time to change the layout of outputs on a desktop host, in addition to the link",
       [](DeviceSpec& d) { return &d.timing.output_ns_per_byte; }},
      {"host_slowdown", "ratio", 1, 0.01, 1000, "host-bound work relative to a desktop",
       [](DeviceSpec& d) { return &d.timing.host_slowdown; }},
      {"hop", "ms", 1e6, 0, 1000, "time to hand an input to the next stage, on a desktop host",
       [](DeviceSpec& d) { return &d.timing.hop_ns; }},
      {"busy_stretch", "ratio", 1, 1, 1000,
       "slowdown of the host's share of outputs with several devices",
       [](DeviceSpec& d) { return &d.timing.busy_stretch; }},
      {"busy_cores", "cores", 1, 0.01, 1024, "most cores that the host uses for this",
       [](DeviceSpec& d) { return &d.timing.busy_cores; }},
      {"parameter_memory", "MiB", 1024.0 * 1024.0, 0.01, 65'536,
       "on-chip memory; the running layer reserves at least 0.27 MiB of it",
       [](DeviceSpec& d) { return &d.memory.capacity_bytes; }},
      {"tile_memory", "KiB", 1024, 1, 1'048'576, "memory for activations in each tile",
       [](DeviceSpec& d) { return &d.activations.narrow_tile_bytes; }},
      {"host_int8", "GMAC/s", 1e9, 0.001, 100'000, "8-bit convolutions on the host CPU",
       [](DeviceSpec& d) { return &d.host.int8_macs_per_s; }},
      {"host_float", "GMAC/s", 1e9, 0.001, 100'000, "float convolutions on the host's processor",
       [](DeviceSpec& d) { return &d.host.float_macs_per_s; }},
      {"host_depthwise", "GMAC/s", 1e9, 0.001, 100'000, "depthwise convolutions on the host CPU",
       [](DeviceSpec& d) { return &d.host.depthwise_macs_per_s; }},
      {"host_element", "ns", 1, 0, 100'000, "other arithmetic on the host, per element",
       [](DeviceSpec& d) { return &d.host.element_ns; }},
      {"host_moved_element", "ns", 1, 0, 100'000, "copies and look-ups on the host, per element",
       [](DeviceSpec& d) { return &d.host.moved_element_ns; }},
      {"host_memory", "MB/s", 1e6, 1, 10'000'000, "memory traffic of operators on the host",
       [](DeviceSpec& d) { return &d.host.memory_bytes_per_s; }},
      {"host_operator", "us", 1e3, 0, 1'000'000, "fixed time of an operator on the host",
       [](DeviceSpec& d) { return &d.host.operator_ns; }},
      {"host_cores", "cores", 1, 1, 1024, "cores that compute operators on the host at a time",
       [](DeviceSpec& d) { return &d.host.cores; }},
  }};
  return kConstants;
}

DeviceSpec parse_device(std::string_view text, const std::string& label,
                        std::span<const DeviceSpec> catalogue) {
  const json::Json document = json::parse(text, label);
  const Node root(document, "", label);
  root.expect_keys({"schema", "name", "base", "constants"}, {"description", "calibrated"});
  root["schema"].expect_schema(kSchema);
  DeviceSpec device =
      root["base"].text_as([&](std::string_view name) { return find_device(name, catalogue); });
  device.name = root["name"].text();
  check_name(root["name"]);
  device.description =
      root.has("description") ? root["description"].text() : "from " + root["base"].text();
  const Node constants = root["constants"];
  for (const std::string& key : constants.keys())
    set_constant(device, find_constant(key, constants[key]), constants[key]);
  if (root.has("calibrated")) device.calibration = calibration(root["calibrated"]);
  // No measurement shows how the parts of a slower host scale.
  if (device.timing.host_slowdown.value > 1) device.is_host_unknown = true;
  return device;
}

DeviceSpec read_device(const std::filesystem::path& path, std::span<const DeviceSpec> catalogue) {
  return parse_device(read_text_file(path, kLargestFileBytes), path.string(), catalogue);
}

DeviceSpec open_device(const std::string& name_or_path, std::span<const DeviceSpec> catalogue) {
  return name_or_path.ends_with(".json") ? read_device(name_or_path, catalogue)
                                         : find_device(name_or_path, catalogue);
}

}  // namespace segue
