// What some versions of TensorFlow Lite compute wrongly without an error.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/tflite/tflite_runtime.h"

namespace segue {

// One fault is known: version 2.9 reads one scale of FULLY_CONNECTED weights that have one per
// output, as TensorFlow 2.17 and later write every int8 Dense layer, and returns nearly constant
// outputs. Version 2.14 computes it right. The versions between were not at hand, and builds
// differ, so that a model of two weights is computed instead of a comparison of version numbers.
class RuntimeFaults {
 public:
  explicit RuntimeFaults(std::shared_ptr<const TfLiteRuntime> runtime)
      : runtime_(std::move(runtime)) {}

  // Throws Error(kDevice) where the runtime computes an operator of `model` wrongly; names the
  // operator and what to do. `model` is the content of a .tflite file.
  void check(std::span<const std::byte> model, const std::string& name) const;

  // A sentence for each fault that this runtime has.
  [[nodiscard]] std::vector<std::string> sentences() const;

 private:
  [[nodiscard]] bool has_dense_fault() const;

  std::shared_ptr<const TfLiteRuntime> runtime_;
  mutable std::once_flag is_tried_;
  mutable bool has_dense_fault_ = false;
};

}  // namespace segue
