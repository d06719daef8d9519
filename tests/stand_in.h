// The stand-ins for Google's closed parts, as tests use them.
#pragma once

#include <dlfcn.h>

#include <string>
#include <vector>

#include "segue/edgetpu.h"
#include "segue/edgetpu_compiler.h"
#include "segue/pipeline.h"
#include "stand_in_edgetpu.h"

namespace segue::testing {

// The runtime, and the stand-in for libedgetpu.
inline EdgeTpuLibraries stand_in() { return {{SEGUE_TEST_RUNTIME}, {SEGUE_TEST_STAND_IN}}; }

// Its devices, as a pipeline takes them.
inline std::vector<PipelineDevice> stand_in_devices() {
  std::vector<PipelineDevice> devices;
  for (const EdgeTpuDevice& device : list_edgetpu_devices(stand_in()))
    devices.push_back({device.name(), make_edgetpu_backend(stand_in(), device)});
  return devices;
}

// The same library that the backend loads: tells its devices to fail.
class StandIn {
 public:
  StandIn() : library_(::dlopen(SEGUE_TEST_STAND_IN, RTLD_NOW | RTLD_LOCAL)) {
    get<StandInReset>("stand_in_reset")();
  }
  ~StandIn() { get<StandInRelease>("stand_in_release")(); }
  StandIn(const StandIn&) = delete;
  StandIn& operator=(const StandIn&) = delete;
  void attach(int devices) { get<StandInAttach>("stand_in_attach")(devices); }
  void fail(int device, StandInFault fault, int at) {
    get<StandInFail>("stand_in_fail")(device, fault, at);
  }
  [[nodiscard]] int open_delegates() const {
    return get<StandInOpenDelegates>("stand_in_open_delegates")();
  }

 private:
  template <typename Function>
  [[nodiscard]] Function* get(const char* name) const {
    return reinterpret_cast<Function*>(::dlsym(library_, name));
  }
  void* library_;
};

// The stand-in for edgetpu_compiler with arguments of its own: "fault=internal:SOFTMAX".
inline EdgeTpuCompilerOptions stand_in_compiler(std::vector<std::string> arguments = {}) {
  EdgeTpuCompilerOptions options;
  options.command = {SEGUE_TEST_COMPILER};
  options.command.insert(options.command.end(), arguments.begin(), arguments.end());
  return options;
}

}  // namespace segue::testing
