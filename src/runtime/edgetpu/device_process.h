// The backend that drives an Edge TPU in a separate process.
#pragma once

#include <memory>

#include "base/internal/process/shared_memory.h"
#include "segue/edgetpu.h"

namespace segue {

// The process starts when the device is first needed. It ends with the backend and its sessions.
[[nodiscard]] std::shared_ptr<const Backend> make_edgetpu_process_backend(
    const EdgeTpuLibraries& libraries, const EdgeTpuDevice& device, const EdgeTpuOptions& options,
    std::shared_ptr<SharedMemory> memory);

}  // namespace segue
