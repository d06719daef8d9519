// A stand-in for the TensorFlow Lite C library. It passes every call to the real library, but has
// faults of libraries in use (stand_in_runtime.h).
#include "stand_in_runtime.h"

#include <dlfcn.h>

#include <array>
#include <csignal>
#include <cstddef>
#include <cstring>

namespace {

StandInRuntime state;
bool has_delegate = false;  // whether the options made last have a delegate

template <typename Function>
Function* real(const char* name) {
  static void* const library = dlopen(SEGUE_TEST_RUNTIME, RTLD_NOW | RTLD_LOCAL);
  return reinterpret_cast<Function*>(dlsym(library, name));
}

struct Options {
  std::array<std::byte, 512> bytes;
};

}  // namespace

extern "C" {

StandInRuntime* stand_in_runtime_state() { return &state; }

const char* TfLiteVersion() { return state.version; }

// Forwards functions whose parameters are pointers and 32-bit numbers, which are passed in
// registers.
#define FORWARD(result, name, parameters, ...) \
  result name parameters { return real<result parameters>(#name)(__VA_ARGS__); }

FORWARD(void, TfLiteModelDelete, (void* model), model)
FORWARD(void, TfLiteInterpreterOptionsDelete, (void* options), options)
FORWARD(void, TfLiteInterpreterOptionsSetNumThreads, (void* options, std::int32_t threads), options,
        threads)
FORWARD(void, TfLiteInterpreterOptionsSetErrorReporter, (void* options, void* reporter, void* data),
        options, reporter, data)
FORWARD(void*, TfLiteInterpreterCreate, (const void* model, const void* options), model, options)
FORWARD(void, TfLiteInterpreterDelete, (void* interpreter), interpreter)
FORWARD(int, TfLiteInterpreterAllocateTensors, (void* interpreter), interpreter)
FORWARD(int, TfLiteInterpreterInvoke, (void* interpreter), interpreter)
FORWARD(std::int32_t, TfLiteInterpreterGetInputTensorCount, (const void* interpreter), interpreter)
FORWARD(void*, TfLiteInterpreterGetInputTensor, (const void* interpreter, std::int32_t place),
        interpreter, place)
FORWARD(std::int32_t, TfLiteInterpreterGetOutputTensorCount, (const void* interpreter), interpreter)
FORWARD(void*, TfLiteInterpreterGetOutputTensor, (const void* interpreter, std::int32_t place),
        interpreter, place)
FORWARD(int, TfLiteTensorType, (const void* tensor), tensor)
FORWARD(std::int32_t, TfLiteTensorNumDims, (const void* tensor), tensor)
FORWARD(std::int32_t, TfLiteTensorDim, (const void* tensor, std::int32_t dimension), tensor,
        dimension)
FORWARD(std::size_t, TfLiteTensorByteSize, (const void* tensor), tensor)
FORWARD(void*, TfLiteTensorData, (const void* tensor), tensor)
FORWARD(const char*, TfLiteTensorName, (const void* tensor), tensor)
FORWARD(int, TfLiteTensorCopyFromBuffer, (void* tensor, const void* data, std::size_t size), tensor,
        data, size)
FORWARD(void, TfLiteXNNPackDelegateDelete, (void* delegate), delegate)

void* TfLiteModelCreate(const void* data, std::size_t size) {
  if (state.refuses_models) return nullptr;
  return real<void*(const void*, std::size_t)>("TfLiteModelCreate")(data, size);
}

void* TfLiteInterpreterOptionsCreate() {
  has_delegate = false;
  return real<void*()>("TfLiteInterpreterOptionsCreate")();
}

void TfLiteInterpreterOptionsAddDelegate(void* options, void* delegate) {
  if (state.ignores_delegates) return;
  has_delegate = true;
  real<void(void*, void*)>("TfLiteInterpreterOptionsAddDelegate")(options, delegate);
}

int TfLiteTensorCopyToBuffer(const void* tensor, void* data, std::size_t size) {
  const int status =
      real<int(const void*, void*, std::size_t)>("TfLiteTensorCopyToBuffer")(tensor, data, size);
  if (state.crashes && !has_delegate) std::raise(SIGSEGV);
  if (state.returns_constants) std::memset(data, 34, size);
  return status;
}

Options TfLiteXNNPackDelegateOptionsDefault() {
  return real<Options()>("TfLiteXNNPackDelegateOptionsDefault")();
}

void* TfLiteXNNPackDelegateCreate(const Options* options) {
  std::memcpy(&state.xnnpack_threads, options->bytes.data(), 4);
  std::memcpy(&state.second_option, options->bytes.data() + 4, 4);
  const Options without_flags{};
  return real<void*(const Options*)>("TfLiteXNNPackDelegateCreate")(
      state.leaves_operators ? &without_flags : options);
}
}
