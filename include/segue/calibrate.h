/// Constants of a device and its host, measured on the user's own (`segue calibrate`).
///
/// Times of small networks, the probes, are linear in five constants near those of the base
/// (docs/cost-model.md, "One inference of a segment"): `invoke`, `input`, `output`, 1 / `link` and
/// 1 / `clock`. Five probes tell them apart, each of which has much of one of them:
///   invoke   a few bytes in and out, one convolution: the fixed time.
///   link     one dense layer larger than the memory, so that all of it streams at every inference:
///            the only bytes that cross the link and no memory of the host. Without it, `input` and
///            `output` could not be told from the link, with which they only occur as a sum.
///   input    256 KiB into the device, next to nothing computed: link + `input`.
///   output   256 KiB out of it: link + `output`.
///   clock    7x7 convolutions that stay on chip; 96 % of their cycles are products, so that the
///            law's other constants of the array matter little.
/// What is not identifiable stays the base's: `host_slowdown` (only its products with invoke, input
/// and output are measured; those three are stated for the base's slowdown), `instructions` (over
/// USB their cost follows from `link`), `operator`, `tap`, `softmax`, `hop`, the memory, and what
/// the host computes itself.
///
/// Three networks take no part in the fit: their smallest and largest measured / simulated are
/// DeviceSpec::calibration. No Edge TPU was at hand: all is tested against a stand-in that takes as
/// long as a simulated device.
///
/// Thread-safety: pure functions, except for what they do to folders and devices.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "segue/device.h"
#include "segue/edgetpu.h"
#include "segue/model.h"
#include "segue/runtime.h"
#include "segue/toolchain.h"
#include "segue/units.h"

namespace [[gnu::visibility("default")]] segue {

struct Probe {
  Model model;           // "segue-probe-link"
  std::string measures;  // key of device_constants(); empty: takes no part in the fit
};

/// Compiles the probes in temporary folders inside `folder`. Throws Error(kCompiler) where the
/// compiler cannot be started, fails or leaves something to the host, and as compile_for_edgetpu.
[[nodiscard]] std::vector<Model> compile_probes(std::span<const Probe> probes,
                                                const std::filesystem::path& folder,
                                                const EdgeTpuCompilerOptions& options);

/// Opens "segue-probe-link_edgetpu.tflite" and the others, compiled elsewhere. Throws Error(kIo)
/// for a file that is missing, Error(kInvalidArgument) for one that is not this probe compiled as a
/// whole: inputs and outputs must have its names, types and shapes, and nothing may be left to the
/// host.
[[nodiscard]] std::vector<Model> read_compiled_probes(std::span<const Probe> probes,
                                                      const std::filesystem::path& folder);

struct ProbeTime {
  Nanoseconds median{0};
  double spread = 0;  // (third quartile - first quartile) / median
  std::uint32_t runs = 0;
};

/// The spread from which on times are too noisy to tell constants apart.
inline constexpr double kMostProbeSpread = 0.1;

/// For one probe, from opening it to its last run.
inline constexpr Nanoseconds kMostProbeTime = std::chrono::minutes(1);

/// Runs one compiled probe after the other on the device, each 10 to 40 times, and no more than 10
/// times beyond half a second. Two runs before do not count: the first one also loads parameters.
/// `clock` gives the time since some moment; empty: steady_clock. Throws Error(kDevice) where one
/// takes no time, has a spread above kMostProbeSpread, or does not finish within kMostProbeTime on
/// a backend that can give up (isolate), and as Backend::open and Session::run_into.
[[nodiscard]] std::vector<ProbeTime> measure_probes(std::span<const Model> compiled,
                                                    const Backend& backend,
                                                    const std::function<Nanoseconds()>& clock = {});

struct CalibratedConstant {
  std::string key;  // of device_constants(), in whose unit the values are
  std::string unit;
  double base = 0;
  double measured = 0;
};

struct CalibratedProbe {
  std::string name;
  std::string measures;  // as in Probe
  ProbeTime measured;
  Nanoseconds simulated{0};  // with the measured constants
  [[nodiscard]] double ratio() const { return to_s(measured.median) / to_s(simulated); }
};

struct CalibrationResult {
  std::string base;   // of the catalogue
  DeviceSpec device;  // the base with what was measured
  std::vector<CalibratedConstant> constants;
  std::vector<CalibratedProbe> probes;  // in the order of make_probes
};

/// Linear least squares on relative errors: five equations for five unknowns. `input` or `output`
/// that would be negative is zero, and the others are fitted to all five. Constants are rounded to
/// four digits. Throws Error(kDevice) where no constants that a device file may have explain the
/// times within 10 %, or the check is off by a factor of two; Error(kInvalidArgument) where the
/// numbers of probes and times differ, or `base` has a name that is not in the catalogue.
[[nodiscard]] CalibrationResult fit_calibration(std::span<const Probe> probes,
                                                std::span<const ProbeTime> times,
                                                const DeviceSpec& base);

/// A device file that read_device reads back. Throws Error(kInvalidArgument) as parse_device where
/// `name` cannot be a device's.
[[nodiscard]] std::string calibrated_device_json(const CalibrationResult& result,
                                                 const std::string& name);

/// Of the catalogue, the device to begin with: by the link, and for USB its speed.
[[nodiscard]] const DeviceSpec& calibration_base(const EdgeTpuDevice& device);

/// Throws Error(kInvalidArgument) where the base has instructions cross the link at every inference
/// and the device is on PCIe, or the other way round.
void check_calibration_base(const DeviceSpec& base, const EdgeTpuDevice& device);

/// Whether the clock that was measured is the base's; where not, which it is nearest to, and what
/// that means. One sentence.
[[nodiscard]] std::string clock_sentence(const CalibrationResult& result);

}  // namespace segue
