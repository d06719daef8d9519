// An Edge TPU that this process itself drives.
#pragma once

#include <memory>
#include <string>

#include "runtime/tflite/runtime_faults.h"
#include "runtime/tflite/tflite_runtime.h"
#include "segue/edgetpu.h"

namespace segue {

struct EdgeTpuLibrary;

// Thread-safe as backends are.
class LibraryDevice {
 public:
  // Whether what libedgetpu prints is captured: only then is it asked for its reasons.
  enum class Errors { kShown, kCaptured };
  LibraryDevice(const EdgeTpuLibraries& libraries, EdgeTpuDevice device, EdgeTpuSettings settings,
                Errors errors);

  [[nodiscard]] std::string description() const;
  // Takes two seconds for a USB stick. Tries again where libedgetpu fails, which it does now and
  // then after another stick was opened. Throws Error(kDevice) with the reason that it prints,
  // where stderr is captured.
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
