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

// Opaque types and functions of tensorflow/lite/c/c_api.h, as far as Segue uses them.
struct TfLiteModel;
struct TfLiteInterpreterOptions;
struct TfLiteInterpreter;
struct TfLiteTensor;
struct TfLiteDelegate;
using TfLiteErrorReporter = void (*)(void* user_data, const char* format, std::va_list args);

struct TfLiteApi {
  const char* (*version)();
  TfLiteModel* (*model_create)(const void* data, std::size_t size);
  // Null in versions before 2.12, which do not report messages.
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
  // Null if the runtime is built without XNNPACK.
  TfLiteDelegate* (*xnnpack_create)(const void* options);
  void (*xnnpack_delete)(TfLiteDelegate*);
};

// Returns the library that is missing according to `reason`, a message of dlerror, if `candidate`
// depends on it. Empty if `candidate` itself is missing or the message says something else.
// Recognises the messages of glibc and of musl.
[[nodiscard]] std::string missing_dependency(const std::string& reason,
                                             const std::filesystem::path& candidate);

// A library opened with dlopen. Its code stays in memory (RTLD_NODELETE), because runtimes have
// threads and static objects.
class Library {
 public:
  // Opens the first candidate that loads and has all `functions`. The system's loader searches for
  // names without a slash. Throws Error(kDevice) that says why `what` was not found and gives
  // `remedy`, or that names a missing library which a candidate needs.
  Library(std::span<const std::filesystem::path> candidates, std::span<const char* const> functions,
          const std::string& what, const std::string& remedy);

  // Returns null if the library does not have the function.
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
  // Throws Error(kDevice) that names every candidate and what is wrong with it.
  explicit TfLiteRuntime(std::span<const std::filesystem::path> candidates);

  Library library;
  TfLiteApi api{};
};

// Must be freed after the interpreter that uses it.
using DelegatePointer = std::unique_ptr<TfLiteDelegate, std::function<void(TfLiteDelegate*)>>;

struct TfLiteSessionOptions {
  int threads = 1;
  // The code of an error at run time, after the runtime has accepted the model.
  ErrorCode run_error = ErrorCode::kInvalidModel;
};

// A session whose tensors another process may fill and read in place. run_to does not copy an input
// that is already in its tensor, nor an output whose place has no memory.
class TfLiteSession : public Session {
 public:
  [[nodiscard]] virtual std::span<std::byte> input_memory(std::size_t position) const = 0;
  [[nodiscard]] virtual std::span<const std::byte> output_memory(std::size_t position) const = 0;
};

// Throws Error(kInvalidModel) with the runtime's message if the runtime does not accept the model.
[[nodiscard]] std::unique_ptr<TfLiteSession> open_tflite_session(
    std::shared_ptr<const TfLiteRuntime> runtime, std::span<const std::byte> model,
    const std::string& name, DelegatePointer delegate, const TfLiteSessionOptions& options);

}  // namespace segue
