// A loaded TensorFlow Lite runtime, and sessions on it.
#pragma once

#include <cstdarg>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "segue/error.h"
#include "segue/runtime.h"

namespace segue {

// Opaque types and functions of tensorflow/lite/c/c_api.h; only what we call.
struct TfLiteModel;
struct TfLiteInterpreterOptions;
struct TfLiteInterpreter;
struct TfLiteTensor;
struct TfLiteDelegate;
using TfLiteErrorReporter = void (*)(void* user_data, const char* format, std::va_list args);

struct TfLiteApi {
  const char* (*version)();
  TfLiteModel* (*model_create)(const void* data, std::size_t size);
  // Null before version 2.12, which reports nothing.
  TfLiteModel* (*model_create_reporting)(const void* data, std::size_t size, TfLiteErrorReporter,
                                         void* user_data);
  void (*model_delete)(TfLiteModel*);
  TfLiteInterpreterOptions* (*options_create)();
  void (*options_delete)(TfLiteInterpreterOptions*);
  void (*options_set_threads)(TfLiteInterpreterOptions*, std::int32_t);
  void (*options_set_reporter)(TfLiteInterpreterOptions*, TfLiteErrorReporter, void*);
  void (*options_add_delegate)(TfLiteInterpreterOptions*, TfLiteDelegate*);
  TfLiteInterpreter* (*interpreter_create)(const TfLiteModel*, const TfLiteInterpreterOptions*);
  void (*interpreter_delete)(TfLiteInterpreter*);
  int (*allocate)(TfLiteInterpreter*);
  int (*invoke)(TfLiteInterpreter*);
  std::int32_t (*input_count)(const TfLiteInterpreter*);
  TfLiteTensor* (*input)(const TfLiteInterpreter*, std::int32_t);
  std::int32_t (*output_count)(const TfLiteInterpreter*);
  const TfLiteTensor* (*output)(const TfLiteInterpreter*, std::int32_t);
  int (*tensor_type)(const TfLiteTensor*);
  std::int32_t (*tensor_rank)(const TfLiteTensor*);
  std::int32_t (*tensor_extent)(const TfLiteTensor*, std::int32_t);
  std::size_t (*tensor_bytes)(const TfLiteTensor*);
  const char* (*tensor_name)(const TfLiteTensor*);
  int (*copy_in)(TfLiteTensor*, const void*, std::size_t);
  int (*copy_out)(const TfLiteTensor*, void*, std::size_t);
  void* (*tensor_data)(const TfLiteTensor*);
  // Null where the runtime is built without.
  TfLiteDelegate* (*xnnpack_create)(const void* options);
  void (*xnnpack_delete)(TfLiteDelegate*);
};

// The library that `reason`, a text of dlerror, says is missing where it is not `candidate` itself
// but one that `candidate` needs; empty where it says something else. Knows the texts of glibc and
// of musl.
[[nodiscard]] std::string missing_dependency(const std::string& reason,
                                             const std::filesystem::path& candidate);

// A library opened with dlopen. Its code stays in memory (RTLD_NODELETE): runtimes keep threads and
// statics of their own.
class Library {
 public:
  // Opens the first candidate that loads and has all `functions`; names without a slash are left to
  // the system's loader. Throws Error(kDevice): `what` was not found, why not, and `remedy`; or
  // which library one of the candidates needs that is missing.
  Library(std::span<const std::filesystem::path> candidates, std::span<const char* const> functions,
          const std::string& what, const std::string& remedy);

  // Null where it has none.
  [[nodiscard]] void* find(const char* function) const;
  template <typename Function>
  void get(const char* name, Function& function) const {
    static_assert(std::is_pointer_v<Function>);
    function = reinterpret_cast<Function>(find(name));
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  struct Closer {
    void operator()(void* library) const;
  };
  std::unique_ptr<void, Closer> library_;
  std::filesystem::path path_;
};

struct TfLiteRuntime {
  // Throws Error(kDevice) naming every candidate and what is wrong with it.
  explicit TfLiteRuntime(std::span<const std::filesystem::path> candidates);

  Library library;
  TfLiteApi api{};
};

// Freed after the interpreter that uses it.
using DelegatePointer = std::unique_ptr<TfLiteDelegate, std::function<void(TfLiteDelegate*)>>;

struct TfLiteSessionOptions {
  int threads = 1;
  // Of what the runtime refuses to compute, once it has accepted the model.
  ErrorCode run_error = ErrorCode::kInvalidModel;
};

// A session whose tensors another process may fill and read in place. run_to copies no input that
// lies in its tensor already, and no output whose place has no memory.
class TfLiteSession : public Session {
 public:
  [[nodiscard]] virtual std::span<std::byte> input_memory(std::size_t position) const = 0;
  [[nodiscard]] virtual std::span<const std::byte> output_memory(std::size_t position) const = 0;
};

// Throws Error(kInvalidModel) with the runtime's own message when it does not accept the model.
[[nodiscard]] std::unique_ptr<TfLiteSession> open_tflite_session(
    std::shared_ptr<const TfLiteRuntime> runtime, std::span<const std::byte> model,
    const std::string& name, DelegatePointer delegate, const TfLiteSessionOptions& options);

}  // namespace segue
