// XNNPACK, the fast kernels of TensorFlow Lite, as a delegate.
#pragma once

#include <memory>

#include "runtime/tflite/tflite_runtime.h"

namespace segue {

// A delegate with its number of threads. Throws Error(kDevice) where the runtime has no XNNPACK, or
// is of a version whose options are not known.
[[nodiscard]] DelegatePointer make_xnnpack(const TfLiteRuntime& runtime, int threads);

// Opens a model of two int8 additions and counts what XNNPACK takes of it: a library can have
// XNNPACK and leave every operator to the builtin kernels without an error. Throws Error(kDevice)
// then, where the number is not known, and as make_xnnpack.
void check_xnnpack(const std::shared_ptr<const TfLiteRuntime>& runtime);

}  // namespace segue
