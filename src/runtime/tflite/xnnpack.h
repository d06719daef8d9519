// XNNPACK, the optimized kernels of TensorFlow Lite, as a delegate.
#pragma once

#include <memory>

#include "runtime/tflite/tflite_runtime.h"

namespace segue {

// Creates a delegate with this number of threads. Throws Error(kDevice) if the runtime has no
// XNNPACK, or if the options of its version are unknown.
[[nodiscard]] DelegatePointer make_xnnpack(const TfLiteRuntime& runtime, int threads);

// Opens a model of two int8 additions and counts how many of them XNNPACK takes, because a library
// with XNNPACK may still leave every operator to the builtin kernels without an error. Throws
// Error(kDevice) if XNNPACK takes none of them or if the number is unknown. Also throws the errors
// of make_xnnpack.
void check_xnnpack(const std::shared_ptr<const TfLiteRuntime>& runtime);

}  // namespace segue
