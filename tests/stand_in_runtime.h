// The interface through which tests control the stand-in for a TensorFlow Lite runtime. Its
// functions are found with dlsym.
#pragma once

#include <cstdint>

// How the stand-in differs from the real runtime behind it.
struct StandInRuntime {
  const char* version = "2.21.0";     // the result of TfLiteVersion
  bool returns_constants = false;     // every value of every output is 34, as with 2.9's fault
  bool crashes = false;               // without a delegate, as 2.21's dense layers on arm64
  bool leaves_operators = false;      // XNNPACK is created without the flags that switch it on
  bool ignores_delegates = false;     // delegates in the options are not asked to take operators
  bool refuses_models = false;        // no file is accepted
  std::int32_t xnnpack_threads = -1;  // in the options with which XNNPACK was last created
  std::uint32_t second_option = 0;    // the member after the threads in these options
};

// Whether the builtin kernels of the runtime crash in dense layers with one scale per output, as on
// arm64 (docs/runtime.md).
#if defined(__aarch64__)
inline constexpr bool kDenseCrashes = true;
#else
inline constexpr bool kDenseCrashes = false;
#endif

extern "C" {
using StandInRuntimeState = StandInRuntime*();
}
