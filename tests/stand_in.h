// Gives tests access to the stand-ins for Google's closed programs.
#pragma once

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "segue/edgetpu.h"
#include "segue/pipeline.h"
#include "segue/toolchain.h"
#include "stand_in_edgetpu.h"

namespace segue::testing {

// Returns the runtime and the stand-in for libedgetpu.
inline EdgeTpuLibraries stand_in() { return {{SEGUE_TEST_RUNTIME}, {SEGUE_TEST_STAND_IN}}; }

// Returns the stand-in's devices in the form that a pipeline takes.
inline std::vector<PipelineDevice> stand_in_devices() {
  std::vector<PipelineDevice> devices;
  for (const EdgeTpuDevice& device : list_edgetpu_devices(stand_in()))
    devices.push_back(
        {device.name(), make_edgetpu_backend(stand_in(), device, {.program = SEGUE_TEST_DEVICE})});
  return devices;
}

// Sets the name of the file with the stand-in's state, which processes of devices inherit.
inline void share_stand_in_state() {
  static const int file = ::memfd_create("stand-in", MFD_CLOEXEC);
  const auto name = "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(file);
  ::setenv("STAND_IN_STATE", name.c_str(), 1);
}

// The same library that the backend loads, through which tests make devices fail.
class StandIn {
 public:
  StandIn() {
    share_stand_in_state();
    library_ = ::dlopen(SEGUE_TEST_STAND_IN, RTLD_NOW | RTLD_LOCAL);
    reset();
  }
  ~StandIn() { get<StandInRelease>("stand_in_release")(); }
  StandIn(const StandIn&) = delete;
  StandIn& operator=(const StandIn&) = delete;
  void reset() { get<StandInReset>("stand_in_reset")(); }
  void attach(int devices) { get<StandInAttach>("stand_in_attach")(devices); }
  void fail(int device, StandInFault fault, int at) {
    get<StandInFail>("stand_in_fail")(device, fault, at);
  }
  [[nodiscard]] int open_delegates() const {
    return get<StandInOpenDelegates>("stand_in_open_delegates")();
  }
  // Returns the process that has the device open, or 0.
  [[nodiscard]] int process(int device) const {
    return get<StandInProcess>("stand_in_process")(device);
  }
  // Returns the number of openings of USB devices, including failed ones.
  [[nodiscard]] int opens() const { return get<StandInOpens>("stand_in_opens")(); }
  void slow_open(int milliseconds) { get<StandInSlowOpen>("stand_in_slow_open")(milliseconds); }
  void fail_opens(int one_in) { get<StandInFailOpens>("stand_in_fail_opens")(one_in); }

 private:
  template <typename Function>
  [[nodiscard]] Function* get(const char* name) const {
    return reinterpret_cast<Function*>(::dlsym(library_, name));
  }
  void* library_ = nullptr;
};

// Returns options for the stand-in for edgetpu_compiler with its own arguments, such as
// "fault=internal:SOFTMAX".
inline EdgeTpuCompilerOptions stand_in_compiler(std::vector<std::string> arguments = {}) {
  EdgeTpuCompilerOptions options;
  options.command = {SEGUE_TEST_COMPILER};
  options.command.insert(options.command.end(), arguments.begin(), arguments.end());
  return options;
}

}  // namespace segue::testing
