/// Edge TPUs through libedgetpu, and what is missing on a machine where they do not run.
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

/// Edge TPUs through Google's libedgetpu, loaded with dlopen like the runtime.
///
/// The runtime and libedgetpu must be built from the same generation of TensorFlow: a delegate
/// hands structures over by value, and their sizes changed (TensorFlow Lite 2.9 to LiteRT 2.1:
/// delegate 48 to 56 bytes, registration 64 to 88). What does not fit crashes when the first model
/// is opened: pipelines open it in another process, and `check_edgetpu` tries it in one.

struct EdgeTpuLibraries {
  /// Candidates for each, tried in order; names without a slash are left to the system's loader.
  std::vector<std::filesystem::path> runtimes{"libtensorflowlite_c.so"};
  std::vector<std::filesystem::path> delegates{"libedgetpu.so.1"};
};

/// At each of these a device on PCIe halves its clock: from 500 to 250, 125 and 62.5 MHz. They are
/// the defaults of the kernel's driver (trip_point0_temp to trip_point2_temp in apex_driver.c of
/// google/gasket-driver); devices on USB tell no temperature.
inline constexpr std::array<double, 3> kThrottleCelsius{85, 90, 95};

struct EdgeTpuDevice {
  enum class Link { kPcie, kUsb };
  Link link{};
  std::string path;       // as libedgetpu names it: /dev/apex_0, /sys/bus/usb/devices/2-1
  std::string unique_id;  // of the chip, where the driver tells it; stays when the order changes
  std::optional<double> temperature_c;           // PCIe only
  std::optional<std::uint32_t> link_speed_mbps;  // USB only: 480 or 5000
  std::string controller = {};  // USB only: of its bus, "0000:00:14.0"; devices on one share it
  std::string unlisted = {};    // why libedgetpu does not list it; empty where it does

  /// "pci:apex_0" or "usb:2-1"; "pci:0000:01:00.0" for a card that its driver does not show.
  [[nodiscard]] std::string name() const;
};

/// What libedgetpu finds, in its order, with what the kernel's drivers tell below `sysfs`. Throws
/// Error(kDevice) when a library is missing.
[[nodiscard]] std::vector<EdgeTpuDevice> list_edgetpu_devices(
    const EdgeTpuLibraries& libraries, const std::filesystem::path& sysfs = "/sys");

/// What the kernel shows below `root` and `listed` does not hold, each with the reason in
/// `unlisted`: cards without a driver or a node in /dev, sticks that libusb cannot reach. Needs no
/// library.
[[nodiscard]] std::vector<EdgeTpuDevice> find_unlisted_devices(
    std::span<const EdgeTpuDevice> listed, const std::filesystem::path& root = "/");

/// Of the devices, the one that `text` names: "pci:apex_0", "usb:2-1", the unique id, the path, or
/// its place in the list. Throws Error(kDevice) naming those that are there.
[[nodiscard]] const EdgeTpuDevice& find_edgetpu_device(std::span<const EdgeTpuDevice> devices,
                                                       const std::string& text);

/// The temperature now, where the driver tells it.
[[nodiscard]] std::optional<double> read_temperature_c(const EdgeTpuDevice& device,
                                                       const std::filesystem::path& sysfs = "/sys");

/// Names and values for libedgetpu, which get there unchecked; see parse_edgetpu_settings.
using EdgeTpuSettings = std::vector<std::pair<std::string, std::string>>;

/// Reads "NAME=VALUE" each: "Performance" (Low, Medium, High, Max: the clock), "Usb.AlwaysDfu"
/// (True, False: load the firmware each time), "Usb.MaxBulkInQueueLength" (0 to 255). libedgetpu
/// ignores what it does not know, so Error(kInvalidArgument) names what is wrong.
[[nodiscard]] EdgeTpuSettings parse_edgetpu_settings(std::span<const std::string> settings);

struct EdgeTpuOptions {
  EdgeTpuSettings settings = {};
  /// Of the driver's files.
  std::filesystem::path sysfs = "/sys";
  /// The program that a pipeline runs the device in; empty: `segue-device` in the folder of the
  /// program or shared library that contains Segue, or in the libexec folder beside it. A relative
  /// one is looked for in the current folder when the device is first used.
  std::filesystem::path program = {};
};

struct EdgeTpuVersions {
  std::string runtime;  // TfLiteVersion(): "2.21.0"
  std::string edgetpu;  // edgetpu_version(): "BuildLabel(TENSORFLOW_COMMIT=…), RuntimeVersion(14)"
};
[[nodiscard]] EdgeTpuVersions edgetpu_versions(const EdgeTpuLibraries& libraries);

/// Opens and closes a model on a device in a child process. Throws Error(kDevice) saying that
/// runtime and libedgetpu do not fit together when the child dies, that the device gave no answer
/// when it takes longer than `timeout`, and what opening throws. Of a caller with several threads
/// only the calling one exists in the child.
void check_edgetpu(const EdgeTpuLibraries& libraries, const EdgeTpuDevice& device,
                   std::span<const std::byte> model, const std::string& name,
                   Nanoseconds timeout = kLongestWait);

/// Opens models, compiled for the Edge TPU or not, on one device. Sessions throw Error(kDevice)
/// when the device fails; each has the device for itself alone, so one at a time.
///
/// libedgetpu ends the process that uses it when a USB transfer fails. A pipeline therefore runs
/// the device in a separate process (Backend::in_own_process), and so does isolate(); a session
/// that is opened on the backend itself runs in this process. Throws Error(kDevice) when a library
/// is missing.
///
///     const auto devices = list_edgetpu_devices(libraries);
///     std::vector<PipelineDevice> ours;
///     for (const EdgeTpuDevice& device : devices)
///       ours.push_back({device.name(), make_edgetpu_backend(libraries, device)});
///     Pipeline pipeline(pipeline_layout(files, {}), std::move(ours));
[[nodiscard]] std::unique_ptr<Backend> make_edgetpu_backend(const EdgeTpuLibraries& libraries,
                                                            const EdgeTpuDevice& device,
                                                            const EdgeTpuOptions& options = {});

/// What a machine needs to run Edge TPUs, what of it is there, and the next step for what is not.
///
/// Compares the kernel's view of the hardware (sysfs) with libedgetpu's list, and looks at drivers,
/// permissions, libraries and whether they fit together. Changes nothing and opens no device.

struct Finding {
  enum class Kind {
    kGood,
    kNote,    // works, but slowly, hot, or not at all used
    kProblem  // does not work
  };
  Kind kind{};
  std::string key;        // what was looked at, as docs/runtime.md lists: "gasket-build"
  std::string what;       // one sentence
  std::string next_step;  // empty where there is nothing to do
};

struct Machine {
  /// Below it lie sys, dev, proc, lib/modules, usr/src and var/lib/dkms.
  std::filesystem::path root = "/";
  /// Where programs are looked for, as PATH lists it.
  std::vector<std::filesystem::path> programs = {};
  /// Google's compiler, where the user names one; empty: it is looked for among those.
  std::filesystem::path compiler = {};
};

/// In the order: runtime, libedgetpu and its list, PCIe devices, USB devices, compiler.
[[nodiscard]] std::vector<Finding> diagnose(const EdgeTpuLibraries& libraries,
                                            const Machine& machine);

}  // namespace segue
