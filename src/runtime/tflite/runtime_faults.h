// Faults of some builds of TensorFlow Lite that a model does not show before it runs.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/tflite/tflite_runtime.h"
#include "segue/runtime.h"

namespace segue {

// One operator is concerned: FULLY_CONNECTED whose weights have one scale per output, which is how
// TensorFlow 2.17 and later write every int8 Dense layer. Version 2.9 reads one scale and returns
// nearly constant outputs; the builtin kernels of 2.21 for arm64 read a null pointer. Version 2.14
// computes it right. The versions between were not at hand, and builds differ, so a layer of two
// outputs is computed, in a child process, instead of a comparison of version numbers.
class RuntimeFaults {
 public:
  // `kernels`: those that sessions use.
  explicit RuntimeFaults(std::shared_ptr<const TfLiteRuntime> runtime,
                         CpuKernels kernels = CpuKernels::kBuiltin)
      : runtime_(std::move(runtime)), kernels_(kernels) {}

  // Throws Error(kDevice) if the runtime has a fault in an operator of `model`, with the operator
  // and what to do. `model` is the content of a .tflite file.
  void check(std::span<const std::byte> model, const std::string& name) const;

  // A sentence for each fault that this runtime has.
  [[nodiscard]] std::vector<std::string> sentences() const;

 private:
  enum class DenseFault { kNone, kWrong, kCrash };
  [[nodiscard]] DenseFault dense_fault() const;
  // `where` is inserted before the remedy.
  [[nodiscard]] std::string sentence(const std::string& where) const;

  std::shared_ptr<const TfLiteRuntime> runtime_;
  CpuKernels kernels_;
  mutable std::once_flag is_tried_;
  mutable DenseFault dense_fault_ = DenseFault::kNone;
};

}  // namespace segue
