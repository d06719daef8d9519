#include "segue/edgetpu.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <mutex>

#include "base/internal/process/isolated.h"
#include "runtime/edgetpu/device_process.h"
#include "runtime/edgetpu/hardware.h"
#include "runtime/edgetpu/library.h"
#include "runtime/edgetpu/library_device.h"
#include "runtime/tflite/tflite_runtime.h"
#include "segue/error.h"

namespace segue {
namespace {

namespace fs = std::filesystem;

class EdgeTpuBackend : public Backend {
 public:
  EdgeTpuBackend(EdgeTpuLibraries libraries, EdgeTpuDevice device, EdgeTpuOptions options)
      : libraries_(std::move(libraries)),
        device_(std::move(device)),
        options_(std::move(options)) {}

  [[nodiscard]] bool wants_compiled() const override { return true; }

  [[nodiscard]] std::optional<double> temperature_c() const override {
    return read_temperature_c(device_, options_.sysfs);
  }

  [[nodiscard]] std::string description() const override { return library_device().description(); }

  [[nodiscard]] std::shared_ptr<const Backend> in_own_process(
      const std::shared_ptr<SharedMemory>& memory) const override {
    return make_edgetpu_process_backend(libraries_, device_, options_, memory);
  }

  [[nodiscard]] std::unique_ptr<Session> open(std::span<const std::byte> model,
                                              const std::string& name) const override {
    const LibraryDevice& device = library_device();
    return device.open(device.open_device(), model, name);
  }

 private:
  // Loads the libraries on first use, because a pipeline uses the device only in another process.
  [[nodiscard]] const LibraryDevice& library_device() const {
    std::call_once(is_loaded_, [this] {
      loaded_ = std::make_unique<LibraryDevice>(libraries_, device_, options_.settings,
                                                LibraryDevice::Errors::kShown);
    });
    return *loaded_;
  }

  EdgeTpuLibraries libraries_;
  EdgeTpuDevice device_;
  EdgeTpuOptions options_;
  mutable std::once_flag is_loaded_;
  mutable std::unique_ptr<LibraryDevice> loaded_;
};

}  // namespace

std::string EdgeTpuDevice::name() const {
  return (link == Link::kPcie ? "pci:" : "usb:") + fs::path(path).filename().string();
}

std::vector<EdgeTpuDevice> list_edgetpu_devices(const EdgeTpuLibraries& libraries,
                                                const fs::path& sysfs) {
  const EdgeTpuLibrary library(libraries.delegates);
  std::size_t count = 0;
  const std::unique_ptr<EdgeTpuCDevice, void (*)(EdgeTpuCDevice*)> found(
      library.list_devices(&count), library.free_devices);
  std::vector<EdgeTpuDevice> devices;
  for (std::size_t i = 0; found && i < count; ++i) {
    const EdgeTpuCDevice& listed = found.get()[i];
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
              fmt::format("no Edge TPU '{}'; found: {}", text,
                          names.empty() ? "none; `segue doctor` shows what is missing"
                                        : fmt::format("{}", fmt::join(names, ", "))));
}

EdgeTpuVersions edgetpu_versions(const EdgeTpuLibraries& libraries) {
  return {TfLiteRuntime(libraries.runtimes).api.version(),
          EdgeTpuLibrary(libraries.delegates).version()};
}

void check_edgetpu(const EdgeTpuLibraries& libraries, const EdgeTpuDevice& device,
                   std::span<const std::byte> model, const std::string& name, Nanoseconds timeout) {
  try {
    (void)run_isolated(
        [&](const StepReport& progress) {
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
                  fmt::format("{}: {} failed: {}; power-cycle the device and try again",
                              device.name(), crash.step, crash.reason));
    }
    const EdgeTpuVersions versions = edgetpu_versions(libraries);
    throw Error(ErrorCode::kDevice,
                fmt::format("TensorFlow Lite {} and libedgetpu {} are not compatible: {} ended "
                            "with {}; both must be built from the same TensorFlow version",
                            versions.runtime, versions.edgetpu, crash.step, crash.reason));
  }
}

EdgeTpuSettings parse_edgetpu_settings(std::span<const std::string> settings) {
  static const std::map<std::string, std::vector<std::string>, std::less<>> kValues{
      {"Performance", {"Low", "Medium", "High", "Max"}},
      {"Usb.AlwaysDfu", {"True", "False"}},
      {"Usb.MaxBulkInQueueLength", {}}};
  EdgeTpuSettings parsed;
  for (const std::string& text : settings) {
    const std::size_t equals = std::min(text.find('='), text.size());
    const std::string name = text.substr(0, equals);
    const std::string value = equals < text.size() ? text.substr(equals + 1) : "";
    const auto known = kValues.find(name);
    if (known == kValues.end()) {
      throw Error(
          ErrorCode::kInvalidArgument,
          fmt::format("'{}': unknown option of libedgetpu; options are Performance, Usb.AlwaysDfu "
                      "and Usb.MaxBulkInQueueLength, for example Performance=Max",
                      text));
    }
    const auto& values = known->second;
    const bool is_number =
        value.size() <= 3 && !value.empty() &&
        std::ranges::all_of(value, [](char c) { return c >= '0' && c <= '9'; }) &&
        std::stoi(value) <= 255;
    if (values.empty() ? !is_number : std::ranges::count(values, value) == 0) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("'{}': {} must be {}", text, name,
                              values.empty() ? "a number from 0 to 255"
                                             : fmt::format("{}", fmt::join(values, ", "))));
    }
    if (std::ranges::count(parsed, name, &EdgeTpuSettings::value_type::first) > 0)
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("'{}': {} is given twice; remove one of them", text, name));
    parsed.emplace_back(name, value);
  }
  return parsed;
}

std::unique_ptr<Backend> make_edgetpu_backend(const EdgeTpuLibraries& libraries,
                                              const EdgeTpuDevice& device,
                                              const EdgeTpuOptions& options) {
  return std::make_unique<EdgeTpuBackend>(libraries, device, options);
}

}  // namespace segue
