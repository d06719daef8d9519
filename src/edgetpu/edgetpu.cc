#include "segue/edgetpu.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>

#include "backend/isolated.h"
#include "backend/runtime_faults.h"
#include "backend/tflite_runtime.h"
#include "edgetpu/sysfs.h"
#include "segue/error.h"

namespace segue {
namespace {

namespace fs = std::filesystem;

// Of edgetpu_c.h; only what we use.
struct CDevice {
  int type;  // 0: PCIe, 1: USB
  const char* path;
};
struct COption {
  const char* name;
  const char* value;
};

constexpr std::array kFunctions{"edgetpu_list_devices", "edgetpu_free_devices",
                                "edgetpu_create_delegate", "edgetpu_free_delegate",
                                "edgetpu_version"};

struct EdgeTpuLibrary {
  explicit EdgeTpuLibrary(std::span<const fs::path> candidates)
      : library(candidates, kFunctions, "libedgetpu",
                "install libedgetpu1-std, or name it with --edgetpu-library or "
                "SEGUE_EDGETPU_LIB") {
    library.get(kFunctions[0], list_devices);
    library.get(kFunctions[1], free_devices);
    library.get(kFunctions[2], create_delegate);
    library.get(kFunctions[3], free_delegate);
    library.get(kFunctions[4], version);
  }

  Library library;
  CDevice* (*list_devices)(std::size_t* count) = nullptr;
  void (*free_devices)(CDevice*) = nullptr;
  TfLiteDelegate* (*create_delegate)(int type, const char* path, const COption* options,
                                     std::size_t count) = nullptr;
  void (*free_delegate)(TfLiteDelegate*) = nullptr;
  const char* (*version)() = nullptr;
};

// Where the driver tells of a device.
fs::path folder_of(const EdgeTpuDevice& device, const fs::path& sysfs) {
  const fs::path name = fs::path(device.path).filename();
  return device.link == EdgeTpuDevice::Link::kPcie ? sysfs / "class/apex" / name
                                                   : sysfs / "bus/usb/devices" / name;
}

void describe(EdgeTpuDevice& device, const fs::path& sysfs) {
  const fs::path folder = folder_of(device, sysfs);
  device.temperature_c = read_temperature_c(device, sysfs);
  if (device.link == EdgeTpuDevice::Link::kPcie) {
    device.unique_id = first_line(folder / "unique_id");
  } else if (const auto speed = number_in(folder / "speed"); speed && *speed > 0) {
    device.link_speed_mbps = static_cast<std::uint32_t>(*speed);
  }
}

class EdgeTpuBackend : public Backend {
 public:
  EdgeTpuBackend(const EdgeTpuLibraries& libraries, EdgeTpuDevice device, fs::path sysfs)
      : runtime_(std::make_shared<TfLiteRuntime>(libraries.runtimes)),
        faults_(runtime_),
        library_(std::make_shared<EdgeTpuLibrary>(libraries.delegates)),
        device_(std::move(device)),
        sysfs_(std::move(sysfs)) {}

  [[nodiscard]] bool wants_compiled() const override { return true; }

  [[nodiscard]] std::optional<double> temperature_c() const override {
    return read_temperature_c(device_, sysfs_);
  }

  [[nodiscard]] std::string description() const override {
    return fmt::format("Edge TPU {} (TensorFlow Lite {}, libedgetpu {})", device_.name(),
                       runtime_->api.version(), library_->version());
  }

  [[nodiscard]] std::unique_ptr<Session> open(std::span<const std::byte> model,
                                              const std::string& name) const override {
    faults_.check(model, name);
    const int type = device_.link == EdgeTpuDevice::Link::kPcie ? 0 : 1;
    // The delegate keeps the library loaded for as long as it lives.
    DelegatePointer delegate(
        library_->create_delegate(type, device_.path.c_str(), nullptr, 0),
        [library = library_](TfLiteDelegate* freed) { library->free_delegate(freed); });
    if (!delegate) {
      throw Error(ErrorCode::kDevice,
                  fmt::format("{}: libedgetpu cannot open the device; is another program using it, "
                              "or does `segue devices` no longer show it?",
                              device_.name()));
    }
    return open_tflite_session(runtime_, model, name, std::move(delegate),
                               {.run_error = ErrorCode::kDevice});
  }

 private:
  std::shared_ptr<const TfLiteRuntime> runtime_;
  RuntimeFaults faults_;
  std::shared_ptr<const EdgeTpuLibrary> library_;
  EdgeTpuDevice device_;
  fs::path sysfs_;
};

}  // namespace

std::string EdgeTpuDevice::name() const {
  return (link == Link::kPcie ? "pci:" : "usb:") + fs::path(path).filename().string();
}

std::vector<EdgeTpuDevice> list_edgetpu_devices(const EdgeTpuLibraries& libraries,
                                                const fs::path& sysfs) {
  const EdgeTpuLibrary library(libraries.delegates);
  std::size_t count = 0;
  const std::unique_ptr<CDevice, void (*)(CDevice*)> found(library.list_devices(&count),
                                                           library.free_devices);
  std::vector<EdgeTpuDevice> devices;
  for (std::size_t i = 0; found && i < count; ++i) {
    const CDevice& listed = found.get()[i];
    EdgeTpuDevice& device = devices.emplace_back();
    device.link = listed.type == 0 ? EdgeTpuDevice::Link::kPcie : EdgeTpuDevice::Link::kUsb;
    device.path = listed.path == nullptr ? "" : listed.path;
    describe(device, sysfs);
  }
  return devices;
}

const EdgeTpuDevice& find_edgetpu_device(std::span<const EdgeTpuDevice> devices,
                                         const std::string& text) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const EdgeTpuDevice& device = devices[i];
    const bool has_id = !device.unique_id.empty() && text == device.unique_id;
    if (has_id || text == device.name() || text == device.path || text == std::to_string(i))
      return device;
    names.push_back(device.name());
  }
  throw Error(ErrorCode::kDevice,
              fmt::format("no Edge TPU '{}'; there {}", text,
                          names.empty() ? "is none: `segue doctor` says what is missing"
                                        : fmt::format("are {}", fmt::join(names, ", "))));
}

std::optional<double> read_temperature_c(const EdgeTpuDevice& device, const fs::path& sysfs) {
  if (device.link != EdgeTpuDevice::Link::kPcie) return std::nullopt;
  const auto millidegrees = number_in(folder_of(device, sysfs) / "temp");
  // A chip that crashed reads -87.9 degrees.
  constexpr std::int64_t kColdest = -50'000;
  if (!millidegrees || *millidegrees < kColdest) return std::nullopt;
  return static_cast<double>(*millidegrees) / 1000;
}

EdgeTpuVersions edgetpu_versions(const EdgeTpuLibraries& libraries) {
  return {TfLiteRuntime(libraries.runtimes).api.version(),
          EdgeTpuLibrary(libraries.delegates).version()};
}

void check_edgetpu(const EdgeTpuLibraries& libraries, const EdgeTpuDevice& device,
                   std::span<const std::byte> model, const std::string& name, Nanoseconds timeout) {
  try {
    (void)run_isolated(
        [&](const Progress& progress) {
          progress("loading libedgetpu");
          const auto backend = make_edgetpu_backend(libraries, device);
          progress("opening the model");
          (void)backend->open(model, name);
          return std::string();
        },
        timeout);
  } catch (const Crash& crash) {
    if (crash.timed_out) {
      throw Error(ErrorCode::kDevice,
                  fmt::format("{}: {} gave {}; take its power away for a moment and try again",
                              device.name(), crash.step, crash.reason));
    }
    const EdgeTpuVersions versions = edgetpu_versions(libraries);
    throw Error(ErrorCode::kDevice,
                fmt::format("TensorFlow Lite {} and libedgetpu {} do not fit together: {} ended "
                            "with {}; both must be built from the same TensorFlow version",
                            versions.runtime, versions.edgetpu, crash.step, crash.reason));
  }
}

std::unique_ptr<Backend> make_edgetpu_backend(const EdgeTpuLibraries& libraries,
                                              const EdgeTpuDevice& device, const fs::path& sysfs) {
  return std::make_unique<EdgeTpuBackend>(libraries, device, sysfs);
}

}  // namespace segue
