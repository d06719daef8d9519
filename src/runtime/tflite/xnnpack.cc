#include "runtime/tflite/xnnpack.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "runtime/tflite/probe_models.h"
#include "segue/error.h"

namespace segue {
namespace {

// TfLiteXNNPackDelegateOptions up to TensorFlow Lite 2.19 begins with `num_threads` and `flags`.
// Options that later versions added after them are off if they are zero.
// Flag 1 enables signed 8-bit operators. The flag for unsigned ones is not set, because with it
// version 2.9 opens no interpreter for models of that type.
struct OptionsTo219 {
  std::int32_t num_threads = 0;
  std::uint32_t flags = 1;
  std::array<std::byte, 504> later_fields{};
};

// Since 2.20, `flags` follows the new `runtime_flags`. The library fills in the structure, and
// Segue writes only `num_threads`, which is the first member in every version.
struct OptionsFrom220 {
  std::int32_t num_threads;
  std::array<std::byte, 508> filled_in_by_the_library;
};
using OptionsDefault = OptionsFrom220 (*)();

constexpr int kMinorOfNewLayout = 20;

// Returns 21 for "2.21.0", or -1 if the version has another form.
int minor_version(std::string_view version) {
  int minor = -1;
  if (!version.starts_with("2.")) return minor;
  version.remove_prefix(2);
  const auto [end, error] = std::from_chars(version.data(), version.data() + version.size(), minor);
  return error == std::errc{} ? minor : -1;
}

struct TfLiteIntArray {
  int size;
};
// The first two members of TfLiteContext.
struct ContextHead {
  std::size_t tensor_count;
  int (*get_execution_plan)(void* context, TfLiteIntArray** plan);
};
// The first two members of TfLiteDelegate.
struct DelegateHead {
  void* data;
  int (*prepare)(void* context, TfLiteDelegate* delegate);
};

DelegateHead& head(TfLiteDelegate& delegate) { return reinterpret_cast<DelegateHead&>(delegate); }

std::optional<std::size_t> plan_size(void* context) {
  TfLiteIntArray* plan = nullptr;
  const auto& head = *static_cast<const ContextHead*>(context);
  if (head.get_execution_plan(context, &plan) != 0 || plan == nullptr || plan->size < 0)
    return std::nullopt;
  return static_cast<std::size_t>(plan->size);
}

// Counts the operators that XNNPACK leaves to the runtime in the next session that this thread
// opens. It replaces the delegate's `prepare`, which the runtime calls once, by a function that
// reads the execution plan afterwards. The members used here have had the same positions since
// TensorFlow Lite 1.13.
class RestCounter {
 public:
  explicit RestCounter(TfLiteDelegate& delegate)
      : delegate_(delegate), original_(head(delegate).prepare) {
    head(delegate).prepare = &RestCounter::prepare;
    current = this;
  }
  RestCounter(const RestCounter&) = delete;
  RestCounter& operator=(const RestCounter&) = delete;
  ~RestCounter() {
    head(delegate_).prepare = original_;
    current = nullptr;
  }

  // Each part that the delegate took counts as one operator. Empty if the runtime did not call
  // `prepare` or does not report its execution plan.
  [[nodiscard]] std::optional<std::size_t> operators_left() const { return operators_left_; }

 private:
  static int prepare(void* context, TfLiteDelegate* delegate) {
    const int status = current->original_(context, delegate);
    current->operators_left_ = plan_size(context);
    return status;
  }

  static thread_local RestCounter* current;
  TfLiteDelegate& delegate_;
  int (*original_)(void*, TfLiteDelegate*);
  std::optional<std::size_t> operators_left_;
};
thread_local RestCounter* RestCounter::current = nullptr;

[[noreturn]] void refuse(const TfLiteRuntime& runtime, const char* reason) {
  throw Error(ErrorCode::kDevice,
              fmt::format("{}: TensorFlow Lite {} {}; use --kernels builtin",
                          runtime.library.path().string(), runtime.api.version(), reason));
}

}  // namespace

DelegatePointer make_xnnpack(const TfLiteRuntime& runtime, int threads) {
  const TfLiteApi& api = runtime.api;
  if (api.xnnpack_create == nullptr || api.xnnpack_delete == nullptr)
    refuse(runtime, "has no XNNPACK kernels");
  const int minor = minor_version(api.version());
  if (minor < 0) refuse(runtime, "has a version whose XNNPACK options are unknown");
  TfLiteDelegate* delegate = nullptr;
  if (minor < kMinorOfNewLayout) {
    OptionsTo219 options;
    options.num_threads = threads;
    delegate = api.xnnpack_create(&options);
  } else {
    OptionsDefault defaults = nullptr;
    runtime.library.get("TfLiteXNNPackDelegateOptionsDefault", defaults);
    if (defaults == nullptr) refuse(runtime, "lacks TfLiteXNNPackDelegateOptionsDefault");
    OptionsFrom220 options = defaults();
    options.num_threads = threads;
    delegate = api.xnnpack_create(&options);
  }
  if (delegate == nullptr) refuse(runtime, "cannot start XNNPACK on this processor");
  return {delegate, api.xnnpack_delete};
}

void check_xnnpack(const std::shared_ptr<const TfLiteRuntime>& runtime) {
  constexpr std::size_t kAdditions = 2;
  const std::vector<std::byte> model = int8_additions(kAdditions);
  const DelegatePointer delegate = make_xnnpack(*runtime, 1);
  const RestCounter counter(*delegate);
  DelegatePointer lent(delegate.get(), [](TfLiteDelegate*) {});
  (void)open_tflite_session(runtime, model, "a test of XNNPACK", std::move(lent), {});
  const auto left = counter.operators_left();
  if (!left)
    refuse(*runtime, "has XNNPACK kernels, but does not report which operators they support");
  if (*left >= kAdditions)
    refuse(*runtime, "has XNNPACK kernels, but they do not support int8 operators");
}

}  // namespace segue
