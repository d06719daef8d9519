/// Coral Edge TPUs: list devices, run models through libedgetpu, and diagnose an installation.
///
/// libedgetpu and the TensorFlow Lite runtime are loaded with dlopen. Both must be built from the
/// same TensorFlow version, because a delegate passes structures by value and their sizes changed
/// (between TensorFlow Lite 2.9 and LiteRT 2.1: delegate 48 to 56 bytes, registration 64 to 88). A
/// mismatch crashes when the first model is opened. Pipelines therefore open models in a separate
/// process, and `check_edgetpu` tests the combination in one.
///
/// Example:
///
///     const segue::EdgeTpuLibraries libraries;
///     const auto devices = segue::list_edgetpu_devices(libraries);
///     const auto tpu = segue::isolate(segue::make_edgetpu_backend(libraries, devices.at(0)));
///     const segue::Model model = segue::read_model("mobilenet_v2_edgetpu.tflite");
///     const auto session = tpu->open(model.bytes(), model.name());
///
/// No Edge TPU was available to the project. The backend is tested with the real runtime and a
/// stand-in for libedgetpu (docs/runtime.md, "A process per device").
///
/// Thread-safety: the functions may be called from any thread. Each device can be open once at a
/// time, in one process. `check_edgetpu` forks; only the calling thread exists in the child.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "segue/runtime.h"
#include "segue/units.h"

namespace [[gnu::visibility("default")]] segue {

// --- Devices

/// Where to find the runtime and libedgetpu.
struct EdgeTpuLibraries {
  // Candidates, tried in order. The system's loader searches for names without a slash.
  std::vector<std::filesystem::path> runtimes{"libtensorflowlite_c.so"};
  std::vector<std::filesystem::path> delegates{"libedgetpu.so.1"};
};

/// Temperatures, in degrees Celsius, at which a PCIe device halves its clock: from 500 to 250, 125
/// and 62.5 MHz. Source: defaults of the kernel driver, trip_point0_temp to trip_point2_temp in
/// apex_driver.c of google/gasket-driver. USB devices report no temperature.
inline constexpr std::array<double, 3> kThrottleCelsius{85, 90, 95};

/// A device as libedgetpu and the kernel report it.
struct EdgeTpuDevice {
  enum class Link { kPcie, kUsb };
  Link link{};
  std::string path;       // as in libedgetpu: /dev/apex_0, /sys/bus/usb/devices/2-1
  std::string unique_id;  // of the chip, if the driver reports it; independent of the order
  std::optional<double> temperature_c;           // PCIe only
  std::optional<std::uint32_t> link_speed_mbps;  // USB only: 480 or 5000
  std::string controller = {};  // USB only: "0000:00:14.0"; its devices share the bandwidth
  std::string unlisted = {};    // why libedgetpu does not list it; empty if it does

  /// "pci:apex_0" or "usb:2-1"; "pci:0000:01:00.0" for a card without a driver device.
  [[nodiscard]] std::string name() const;
};

/// Returns the devices that libedgetpu lists, in its order, with details from the kernel's files
/// below `sysfs`. Throws Error(kDevice) when libedgetpu cannot be loaded.
[[nodiscard]] std::vector<EdgeTpuDevice> list_edgetpu_devices(
    const EdgeTpuLibraries& libraries, const std::filesystem::path& sysfs = "/sys");

/// Returns the devices that the kernel shows below `root` and that are not in `listed`, each with
/// the reason in `unlisted`: cards without a driver or a node in /dev, sticks that libusb cannot
/// access. Needs no library.
[[nodiscard]] std::vector<EdgeTpuDevice> find_unlisted_devices(
    std::span<const EdgeTpuDevice> listed, const std::filesystem::path& root = "/");

/// Returns the device with this name ("pci:apex_0", "usb:2-1"), unique id, path or position in the
/// list. Throws Error(kDevice) with the names of all devices if there is none.
[[nodiscard]] const EdgeTpuDevice& find_edgetpu_device(std::span<const EdgeTpuDevice> devices,
                                                       const std::string& text);

/// Returns the current temperature in degrees Celsius, if the driver reports it.
[[nodiscard]] std::optional<double> read_temperature_c(const EdgeTpuDevice& device,
                                                       const std::filesystem::path& sysfs = "/sys");

// --- Backend

/// Names and values of settings, passed to libedgetpu unchecked. See parse_edgetpu_settings.
using EdgeTpuSettings = std::vector<std::pair<std::string, std::string>>;

/// Parses settings of the form "NAME=VALUE": "Performance" (Low, Medium, High, Max: the clock),
/// "Usb.AlwaysDfu" (True, False: load the firmware each time), "Usb.MaxBulkInQueueLength" (0 to
/// 255). Throws Error(kInvalidArgument) for other names and values, because libedgetpu ignores
/// them.
[[nodiscard]] EdgeTpuSettings parse_edgetpu_settings(std::span<const std::string> settings);

/// Settings of the backend.
struct EdgeTpuOptions {
  EdgeTpuSettings settings = {};
  std::filesystem::path sysfs = "/sys";  // root of the kernel's device files
  // The program that runs the device in a separate process. Empty: `segue-device` in the folder of
  // the program or shared library that contains Segue, or in the libexec folder of an installation.
  // A relative path is resolved against the current folder when the device is first used.
  std::filesystem::path program = {};
};

/// Versions of the two libraries.
struct EdgeTpuVersions {
  std::string runtime;  // TfLiteVersion(): "2.21.0"
  std::string edgetpu;  // edgetpu_version(): "BuildLabel(TENSORFLOW_COMMIT=…), RuntimeVersion(14)"
};
/// Loads both libraries and returns their versions. Throws Error(kDevice) when one is missing.
[[nodiscard]] EdgeTpuVersions edgetpu_versions(const EdgeTpuLibraries& libraries);

/// Opens and closes a model on a device in a forked child process. Throws Error(kDevice) when the
/// child dies (the message says that the runtime and libedgetpu do not match) or takes longer than
/// `timeout`, and what opening throws. If the caller has several threads, only the calling thread
/// exists in the child.
void check_edgetpu(const EdgeTpuLibraries& libraries, const EdgeTpuDevice& device,
                   std::span<const std::byte> model, const std::string& name,
                   Nanoseconds timeout = kLongestWait);

/// Makes a backend that opens models, compiled for the Edge TPU or not, on one device. A session
/// has exclusive use of the device, so only one can be open at a time. Sessions throw
/// Error(kDevice) when the device fails. The libraries are loaded on first use; `open` and
/// `description` throw Error(kDevice) when one is missing.
///
/// libedgetpu terminates its process when a USB transfer fails. A pipeline therefore runs the
/// device in a separate process (Backend::in_own_process), and so does isolate(). A session that is
/// opened on this backend directly runs in the calling process. A pipeline on all devices:
///
///     const auto devices = list_edgetpu_devices(libraries);
///     std::vector<PipelineDevice> ours;
///     for (const EdgeTpuDevice& device : devices)
///       ours.push_back({device.name(), make_edgetpu_backend(libraries, device)});
///     Pipeline pipeline(pipeline_layout(files, {}), std::move(ours));
[[nodiscard]] std::unique_ptr<Backend> make_edgetpu_backend(const EdgeTpuLibraries& libraries,
                                                            const EdgeTpuDevice& device,
                                                            const EdgeTpuOptions& options = {});

// --- Diagnosis

/// A result of `diagnose`.
struct Finding {
  enum class Kind {
    kGood,
    kNote,    // works, but slowly or hot, or is not used
    kProblem  // does not work
  };
  Kind kind{};
  std::string key;        // the checked item, as listed in docs/runtime.md: "gasket-build"
  std::string what;       // one sentence
  std::string next_step;  // the remedy; empty if there is nothing to do
};

/// Where `diagnose` looks. Tests replace the paths.
struct Machine {
  // Root folder of sys, dev, proc, lib/modules, usr/src and var/lib/dkms.
  std::filesystem::path root = "/";
  // Folders in which programs are searched, as in PATH.
  std::vector<std::filesystem::path> programs = {};
  // Path of edgetpu_compiler; empty: it is searched in `programs`.
  std::filesystem::path compiler = {};
};

/// Checks what a machine needs to run Edge TPUs. Compares the kernel's view of the hardware (sysfs)
/// with libedgetpu's list, and checks drivers, permissions, and whether the libraries are present.
/// Changes nothing and opens no device. Findings are in the order: runtime, libedgetpu and its
/// list, PCIe devices, USB devices, compiler. docs/runtime.md lists all keys.
[[nodiscard]] std::vector<Finding> diagnose(const EdgeTpuLibraries& libraries,
                                            const Machine& machine);

}  // namespace segue
