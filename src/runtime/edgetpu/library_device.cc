#include "runtime/edgetpu/library_device.h"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <thread>
#include <vector>

#include "runtime/edgetpu/library.h"
#include "segue/error.h"

namespace segue {
namespace {

constexpr std::array kFunctions{"edgetpu_list_devices",    "edgetpu_free_devices",
                                "edgetpu_create_delegate", "edgetpu_free_delegate",
                                "edgetpu_version",         "edgetpu_verbosity"};

}  // namespace

EdgeTpuLibrary::EdgeTpuLibrary(std::span<const std::filesystem::path> candidates)
    : library(
          candidates, kFunctions, "libedgetpu",
          "install libedgetpu1-std, or set its path with --edgetpu-library or SEGUE_EDGETPU_LIB") {
  library.get(kFunctions[0], list_devices);
  library.get(kFunctions[1], free_devices);
  library.get(kFunctions[2], create_delegate);
  library.get(kFunctions[3], free_delegate);
  library.get(kFunctions[4], version);
  library.get(kFunctions[5], verbosity);
}

LibraryDevice::LibraryDevice(const EdgeTpuLibraries& libraries, EdgeTpuDevice device,
                             EdgeTpuSettings settings, Errors errors)
    : runtime_(std::make_shared<TfLiteRuntime>(libraries.runtimes)),
      faults_(runtime_),
      library_(std::make_shared<EdgeTpuLibrary>(libraries.delegates)),
      device_(std::move(device)),
      settings_(std::move(settings)),
      errors_(errors) {}

std::string LibraryDevice::description() const {
  return fmt::format("Edge TPU {} (TensorFlow Lite {}, libedgetpu {})", device_.name(),
                     runtime_->api.version(), library_->version());
}

DelegatePointer LibraryDevice::try_to_open() const {
  std::vector<EdgeTpuCOption> options;
  for (const auto& [name, value] : settings_) options.push_back({name.c_str(), value.c_str()});
  const int type = device_.link == EdgeTpuDevice::Link::kPcie ? 0 : 1;
  // The delegate keeps the library loaded as long as it exists.
  return {library_->create_delegate(type, device_.path.c_str(), options.data(), options.size()),
          [library = library_](TfLiteDelegate* freed) { library->free_delegate(freed); }};
}

DelegatePointer LibraryDevice::open_device() const {
  // A stick that receives its firmware briefly leaves the bus. Another device that is opened at
  // that moment may not be found.
  constexpr int kAttempts = 3;
  constexpr auto kPause = std::chrono::milliseconds(300);
  constexpr int kAllMessages = 10;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    if (attempt > 0) std::this_thread::sleep_for(kPause);
    // libedgetpu reports its reasons only at a raised verbosity.
    const bool asks = attempt > 0 && errors_ == Errors::kCaptured;
    if (asks) library_->verbosity(kAllMessages);
    DelegatePointer opened = try_to_open();
    if (asks) library_->verbosity(0);
    if (opened) return opened;
  }
  throw Error(ErrorCode::kDevice,
              fmt::format("{}: libedgetpu failed to open the device {} times; check that no other "
                          "program uses it, and that `segue devices` still shows it",
                          device_.name(), kAttempts));
}

std::unique_ptr<TfLiteSession> LibraryDevice::open(DelegatePointer device,
                                                   std::span<const std::byte> model,
                                                   const std::string& name) const {
  faults_.check(model, name);
  return open_tflite_session(runtime_, model, name, std::move(device),
                             {.run_error = ErrorCode::kDevice});
}

}  // namespace segue
