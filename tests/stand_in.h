// The stand-ins for Google's closed parts, as tests use them.
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

// The runtime, and the stand-in for libedgetpu.
inline EdgeTpuLibraries stand_in() { return {{SEGUE_TEST_RUNTIME}, {SEGUE_TEST_STAND_IN}}; }

// Its devices, as a pipeline takes them.
inline std::vector<PipelineDevice> stand_in_devices() {
  std::vector<PipelineDevice> devices;
  for (const EdgeTpuDevice& device : list_edgetpu_devices(stand_in()))
    devices.push_back(
        {device.name(), make_edgetpu_backend(stand_in(), device, {.program = SEGUE_TEST_DEVICE})});
  return devices;
}

// The name of a file for the state of the stand-in, which processes of devices inherit.
inline void share_stand_in_state() {
  static const int file = ::memfd_create("stand-in", MFD_CLOEXEC);
  const auto name = "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(file);
  ::setenv("STAND_IN_STATE", name.c_str(), 1);
}

// The same library that the backend loads: tells its devices to fail.
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
  // The process that has the device open; 0: none.
  [[nodiscard]] int process(int device) const {
    return get<StandInProcess>("stand_in_process")(device);
  }
  // Openings of USB devices, failed ones too.
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

// The stand-in for edgetpu_compiler with arguments of its own: "fault=internal:SOFTMAX".
inline EdgeTpuCompilerOptions stand_in_compiler(std::vector<std::string> arguments = {}) {
  EdgeTpuCompilerOptions options;
  options.command = {SEGUE_TEST_COMPILER};
  options.command.insert(options.command.end(), arguments.begin(), arguments.end());
  return options;
}

}  // namespace segue::testing
