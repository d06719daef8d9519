// An Edge TPU that the calling process drives through libedgetpu.
#pragma once

#include <memory>
#include <string>

#include "runtime/tflite/runtime_faults.h"
#include "runtime/tflite/tflite_runtime.h"
#include "segue/edgetpu.h"

namespace segue {

struct EdgeTpuLibrary;

// Thread-safe, like a backend.
class LibraryDevice {
 public:
  // Whether stderr is captured. Only then is libedgetpu asked to print its reasons.
  enum class Errors { kShown, kCaptured };
  LibraryDevice(const EdgeTpuLibraries& libraries, EdgeTpuDevice device, EdgeTpuSettings settings,
                Errors errors);

  [[nodiscard]] std::string description() const;
  // Opens the device, which takes two seconds for a USB stick. Retries when libedgetpu fails, which
  // happens occasionally after another stick was opened. Throws Error(kDevice), with the reason
  // that libedgetpu prints if stderr is captured.
  [[nodiscard]] DelegatePointer open_device() const;
  [[nodiscard]] std::unique_ptr<TfLiteSession> open(DelegatePointer device,
                                                    std::span<const std::byte> model,
                                                    const std::string& name) const;

 private:
  [[nodiscard]] DelegatePointer try_to_open() const;

  std::shared_ptr<const TfLiteRuntime> runtime_;
  RuntimeFaults faults_;
  std::shared_ptr<const EdgeTpuLibrary> library_;
  EdgeTpuDevice device_;
  EdgeTpuSettings settings_;
  Errors errors_;
};

}  // namespace segue
