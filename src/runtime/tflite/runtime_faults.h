// Faults in some builds of TensorFlow Lite that show only when a model runs.
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

// Tests one operator: FULLY_CONNECTED with one scale per output in its weights, which is how
// TensorFlow 2.17 and later write every int8 Dense layer. Version 2.9 reads one scale and returns
// nearly constant outputs. The builtin kernels of 2.21 for arm64 read a null pointer. Version 2.14
// computes the operator correctly. The versions between were not available, and builds differ.
// Therefore the test computes a layer of two outputs in a child process instead of comparing
// version numbers.
class RuntimeFaults {
 public:
  // `kernels`: the kernels that sessions use.
  explicit RuntimeFaults(std::shared_ptr<const TfLiteRuntime> runtime,
                         CpuKernels kernels = CpuKernels::kBuiltin)
      : runtime_(std::move(runtime)), kernels_(kernels) {}

  // Throws Error(kDevice) if the runtime has a fault in an operator of `model`. The message names
  // the operator and a remedy. `model` is the content of a .tflite file.
  void check(std::span<const std::byte> model, const std::string& name) const;

  // Returns a sentence for each fault of this runtime.
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
