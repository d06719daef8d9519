// Google's libedgetpu, loaded with dlopen: the functions of edgetpu_c.h that Segue uses.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

#include "runtime/tflite/tflite_runtime.h"

namespace segue {

struct EdgeTpuCDevice {
  int type;  // 0: PCIe, 1: USB
  const char* path;
};
struct EdgeTpuCOption {
  const char* name;
  const char* value;
};

struct EdgeTpuLibrary {
  // Throws Error(kDevice) with every candidate and the reason why it cannot be loaded.
  explicit EdgeTpuLibrary(std::span<const std::filesystem::path> candidates);

  Library library;
  EdgeTpuCDevice* (*list_devices)(std::size_t* count) = nullptr;
  void (*free_devices)(EdgeTpuCDevice*) = nullptr;
  TfLiteDelegate* (*create_delegate)(int type, const char* path, const EdgeTpuCOption* options,
                                     std::size_t count) = nullptr;
  void (*free_delegate)(TfLiteDelegate*) = nullptr;
  const char* (*version)() = nullptr;
  void (*verbosity)(int level) = nullptr;  // 0 to 10
};

}  // namespace segue
