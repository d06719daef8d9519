#include <fmt/format.h>

#include "runtime/tflite/runtime_faults.h"
#include "runtime/tflite/tflite_runtime.h"
#include "runtime/tflite/xnnpack.h"
#include "segue/error.h"
#include "segue/runtime.h"

namespace segue {
namespace {

class CpuBackend : public Backend {
 public:
  explicit CpuBackend(const CpuOptions& options)
      : runtime_(std::make_shared<TfLiteRuntime>(options.libraries)),
        faults_(runtime_, options.kernels),
        options_(options) {
    // Reports missing XNNPACK kernels here instead of at the first model.
    if (options_.kernels == CpuKernels::kXnnpack) check_xnnpack(runtime_);
  }

  [[nodiscard]] bool computes_on_core() const override { return true; }

  [[nodiscard]] std::string description() const override {
    return fmt::format("TensorFlow Lite {} on the CPU{}", runtime_->api.version(),
                       options_.kernels == CpuKernels::kXnnpack ? " with XNNPACK" : "");
  }

  [[nodiscard]] std::vector<std::string> faults() const override { return faults_.sentences(); }

  [[nodiscard]] std::unique_ptr<Session> open(std::span<const std::byte> model,
                                              const std::string& name) const override {
    return open_with(model, name, options_.threads);
  }

  [[nodiscard]] std::unique_ptr<Session> open_reproducible(std::span<const std::byte> model,
                                                           const std::string& name) const override {
    return open_with(model, name, 1);
  }

 private:
  [[nodiscard]] std::unique_ptr<Session> open_with(std::span<const std::byte> model,
                                                   const std::string& name, int threads) const {
    faults_.check(model, name);
    if (options_.kernels == CpuKernels::kBuiltin)
      return open_tflite_session(runtime_, model, name, {}, {.threads = threads});
    return open_tflite_session(runtime_, model, name, make_xnnpack(*runtime_, threads),
                               {.threads = threads});
  }

  std::shared_ptr<const TfLiteRuntime> runtime_;
  RuntimeFaults faults_;
  CpuOptions options_;
};

}  // namespace

CpuKernels parse_kernels(std::string_view name) {
  if (name == "builtin") return CpuKernels::kBuiltin;
  if (name == "xnnpack") return CpuKernels::kXnnpack;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("unknown kernels '{}' (expected builtin or xnnpack)", name));
}

std::unique_ptr<Backend> make_cpu_backend(const CpuOptions& options) {
  constexpr int kMostThreads = 256;
  if (options.threads < 1 || options.threads > kMostThreads) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("{} threads; a session can have 1 to {}",
                                                         options.threads, kMostThreads));
  }
  return std::make_unique<CpuBackend>(options);
}

}  // namespace segue
