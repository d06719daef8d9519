/// Calibration: measure the constants of a device and its host (`segue calibrate`).
///
/// Times of small networks, the probes, are linear in five constants (docs/cost-model.md, "One
/// inference of a segment"): `invoke`, `input`, `output`, 1 / `link` and 1 / `clock`. Each of five
/// probes is dominated by one of them:
///
///     invoke   a few bytes in and out, one convolution: the fixed time
///     link     one dense layer larger than the memory, so that all of it streams. Streamed
///              parameters are the only bytes that cross the link without host work; without this
///              probe, `input` and `output` could not be separated from the link
///     input    256 KiB to the device and little computation: link + `input`
///     output   256 KiB from the device: link + `output`
///     clock    7x7 convolutions that stay on chip; 96 % of their cycles are products, so that the
///              other constants of the array have little influence
///
/// Example:
///
///     const std::vector<segue::Probe> probes = segue::make_probes();  // zoo.h
///     segue::CalibrationRequest request;
///     request.name = "my-host";
///     const segue::CalibrationResult result = segue::calibrate(probes, request);
///     segue::write_file("my-host.json", segue::calibrated_device_json(result, "my-host"));
///
/// Three other probes take no part in the fit. Their smallest and largest measured / simulated
/// become DeviceSpec::calibration. Constants that cannot be identified keep the values of the base:
/// `host_slowdown` (only its products with invoke, input and output are measured), `instructions`
/// (over USB their cost follows from `link`), `operator`, `tap`, `softmax`, `hop`, the memory, and
/// the rates of the host's processor.
///
/// No Edge TPU was available to the project. Calibration is tested with a stand-in that takes as
/// long as a simulated device.
///
/// Thread-safety: the functions are pure, apart from the folders and devices that they use.
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

// --- Probes

/// A network whose time depends mainly on one constant. make_probes (zoo.h) returns all of them.
struct Probe {
  Model model;           // its name is "segue-probe-link", for example
  std::string measures;  // key in device_constants(); empty: only checks the result
};

/// Writes the probes for compilation on another machine, all or none, and returns the paths.
/// Throws Error(kIo).
std::vector<std::filesystem::path> write_probes(std::span<const Probe> probes,
                                                const std::filesystem::path& folder);

/// Compiles the probes in temporary folders inside `folder`. Throws Error(kCompiler) when the
/// compiler cannot be started, fails or leaves an operator to the host, and as compile_for_edgetpu.
[[nodiscard]] std::vector<Model> compile_probes(std::span<const Probe> probes,
                                                const std::filesystem::path& folder,
                                                const EdgeTpuCompilerOptions& options);

/// Reads probes that were compiled elsewhere ("segue-probe-link_edgetpu.tflite" and so on). Throws
/// Error(kIo) for a missing file, and Error(kInvalidArgument) for a file that is not the completely
/// compiled probe: inputs and outputs must have the same names, types and shapes, and no operator
/// may be left to the host.
[[nodiscard]] std::vector<Model> read_compiled_probes(std::span<const Probe> probes,
                                                      const std::filesystem::path& folder);

// --- Measurement

/// The measured time of one probe.
struct ProbeTime {
  Nanoseconds median{0};
  double spread = 0;  // (third quartile - first quartile) / median
  std::uint32_t runs = 0;
};

/// The largest accepted spread. Times with a larger spread do not determine the constants.
inline constexpr double kMostProbeSpread = 0.1;

/// Time limit for one probe, from opening it to its last run.
inline constexpr Nanoseconds kMostProbeTime = std::chrono::minutes(1);

/// Runs the compiled probes one after the other. After two warm-up runs, which also load the
/// parameters, each probe runs 40 times, or fewer but at least 10 times if that takes more than
/// half a second. `clock` returns the time since any fixed point; empty: steady_clock. Throws
/// Error(kDevice) when a probe takes no time, has a spread above kMostProbeSpread, or exceeds
/// kMostProbeTime on a backend that supports Backend::give_up (see isolate), and as Backend::open
/// and Session::run_into.
[[nodiscard]] std::vector<ProbeTime> measure_probes(std::span<const Model> compiled,
                                                    const Backend& backend,
                                                    const std::function<Nanoseconds()>& clock = {});

// --- Fit

/// A constant before and after the calibration.
struct CalibratedConstant {
  std::string key;   // in device_constants()
  std::string unit;  // of both values, as in device_constants()
  double base = 0;
  double measured = 0;
};

/// A probe with its measured and simulated time.
struct CalibratedProbe {
  std::string name;
  std::string measures;  // as in Probe
  ProbeTime measured;
  Nanoseconds simulated{0};  // with the calibrated constants
  /// measured / simulated
  [[nodiscard]] double ratio() const { return to_s(measured.median) / to_s(simulated); }
};

/// The result of a calibration.
struct CalibrationResult {
  std::string base;   // name in the catalogue
  DeviceSpec device;  // the base with the measured constants
  std::string tpu;    // name of the measured Edge TPU
  std::vector<CalibratedConstant> constants;
  std::vector<CalibratedProbe> probes;  // in the order of make_probes
};

/// Fits the constants by linear least squares on relative errors: five equations for five unknowns.
/// A negative `input` or `output` is set to zero, and the others are fitted to all five equations.
/// Constants are rounded to four digits. Equal times give equal results. Throws Error(kDevice) when
/// a time is zero, when no constants within the limits of device_constants() explain the times
/// within 10 %, or when a probe of the check is off by more than a factor of two. Throws
/// Error(kInvalidArgument) when the numbers of probes and times differ, when no probe is for the
/// check, or when the name of `base` is not in the catalogue.
[[nodiscard]] CalibrationResult fit_calibration(std::span<const Probe> probes,
                                                std::span<const ProbeTime> times,
                                                const DeviceSpec& base);

/// Returns a device file, which read_device reads. Throws Error(kInvalidArgument) as parse_device
/// when `name` is not a valid device name.
[[nodiscard]] std::string calibrated_device_json(const CalibrationResult& result,
                                                 const std::string& name);

/// Returns the catalogue device to start from, by the link and, for USB, its speed.
[[nodiscard]] const DeviceSpec& calibration_base(const EdgeTpuDevice& device);

/// Throws Error(kInvalidArgument) when base and device have different links: instructions cross the
/// link at every inference over USB and not over PCIe.
void check_calibration_base(const DeviceSpec& base, const EdgeTpuDevice& device);

/// Returns one sentence that tells whether the measured clock is that of the base, and otherwise
/// which clock it is closest to and what that means.
[[nodiscard]] std::string clock_sentence(const CalibrationResult& result);

// --- All steps

/// What to measure, and with which programs.
struct CalibrationRequest {
  std::string name;  // of the calibrated device
  std::string base;  // device in the catalogue; empty: calibration_base
  std::string use;   // name of the Edge TPU (list_edgetpu_devices); empty: the first
  // Folder of probes that were compiled elsewhere; empty: `compiler` compiles them.
  std::filesystem::path compiled_probes = {};
  EdgeTpuCompilerOptions compiler = {};
  EdgeTpuLibraries libraries = {};
};

/// Measures one Edge TPU and its host, in a separate process. Everything that can be wrong with
/// the request is checked before the measurement, which takes some seconds. Throws as the functions
/// above, and Error(kDevice) when there is no Edge TPU.
[[nodiscard]] CalibrationResult calibrate(std::span<const Probe> probes,
                                          const CalibrationRequest& request);

}  // namespace segue
