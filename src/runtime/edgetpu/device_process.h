// An Edge TPU driven by a process of its own.
#pragma once

#include <memory>

#include "base/process/shared_memory.h"
#include "segue/edgetpu.h"

namespace segue {

// The process starts when the device is first needed, and ends with the backend and its sessions.
[[nodiscard]] std::shared_ptr<const Backend> make_edgetpu_process_backend(
    const EdgeTpuLibraries& libraries, const EdgeTpuDevice& device, const EdgeTpuOptions& options,
    std::shared_ptr<SharedMemory> memory);

}  // namespace segue
