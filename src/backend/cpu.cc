#include <fmt/format.h>

#include <array>
#include <cstring>

#include "backend/tflite_runtime.h"
#include "segue/backend.h"
#include "segue/error.h"

namespace segue {
namespace {

// TfLiteXNNPackDelegateOptions begins with the number of threads and flags; what later versions add
// is off where it is zero. Flag 1: signed 8-bit operators. With the one for unsigned ones, runtime
// 2.9 gives no interpreter for old models of that type.
DelegatePointer make_xnnpack(const TfLiteApi& api, int threads) {
  constexpr std::uint32_t kSigned8Bit = 1;
  std::array<std::byte, 512> options{};
  const auto count = static_cast<std::int32_t>(threads);
  std::memcpy(options.data(), &count, sizeof count);
  std::memcpy(options.data() + sizeof count, &kSigned8Bit, sizeof kSigned8Bit);
  return {api.xnnpack_create(options.data()), api.xnnpack_delete};
}

class CpuBackend : public Backend {
 public:
  explicit CpuBackend(const CpuOptions& options)
      : runtime_(std::make_shared<TfLiteRuntime>(options.libraries)), options_(options) {
    if (options_.kernels == CpuKernels::kXnnpack && runtime_->api.xnnpack_create == nullptr) {
      throw Error(ErrorCode::kDevice,
                  fmt::format("{}: TensorFlow Lite {} has no XNNPACK kernels; use the builtin ones",
                              runtime_->library.path().string(), runtime_->api.version()));
    }
  }

  [[nodiscard]] bool computes_in_caller() const override { return true; }

  [[nodiscard]] std::string description() const override {
    return fmt::format("TensorFlow Lite {} on the CPU{}", runtime_->api.version(),
                       options_.kernels == CpuKernels::kXnnpack ? " with XNNPACK" : "");
  }

  [[nodiscard]] std::unique_ptr<Session> open(std::span<const std::byte> model,
                                              const std::string& name) const override {
    DelegatePointer delegate;
    if (options_.kernels == CpuKernels::kXnnpack)
      delegate = make_xnnpack(runtime_->api, options_.threads);
    return open_tflite_session(runtime_, model, name, std::move(delegate),
                               {.threads = options_.threads});
  }

 private:
  std::shared_ptr<const TfLiteRuntime> runtime_;
  CpuOptions options_;
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(const CpuOptions& options) {
  constexpr int kMostThreads = 256;
  if (options.threads < 1 || options.threads > kMostThreads) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} threads; a session has 1 to {}", options.threads, kMostThreads));
  }
  return std::make_unique<CpuBackend>(options);
}

}  // namespace segue
