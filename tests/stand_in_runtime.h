// What tests tell the stand-in for a TensorFlow Lite runtime; its functions are found with dlsym.
#pragma once

#include <cstdint>

// What the stand-in does that the real runtime behind it does not.
struct StandInRuntime {
  const char* version = "2.21.0";     // what TfLiteVersion says
  bool returns_constants = false;     // every value of every output is 34, as with 2.9's fault
  bool crashes = false;               // without a delegate, as 2.21's dense layers on arm64
  bool leaves_operators = false;      // XNNPACK is created without the flags that switch it on
  bool ignores_delegates = false;     // what is added to the options is not asked to take part
  bool refuses_models = false;        // no file is accepted
  std::int32_t xnnpack_threads = -1;  // of the options that XNNPACK was last created with,
  std::uint32_t second_option = 0;    // and what lies behind them
};

extern "C" {
using StandInRuntimeState = StandInRuntime*();
}
