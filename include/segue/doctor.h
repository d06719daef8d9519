/// What a machine needs to run Edge TPUs, what of it is there, and the next step for what is not.
///
/// Compares the kernel's view of the hardware (sysfs) with libedgetpu's list, and looks at drivers,
/// permissions, libraries and whether they fit together. Changes nothing and opens no device.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "segue/edgetpu.h"

namespace [[gnu::visibility("default")]] segue {

struct Finding {
  enum class Kind {
    kGood,
    kNote,    // works, but slowly, hot, or not at all used
    kProblem  // does not work
  };
  Kind kind{};
  std::string key;        // what was looked at, as docs/runtime.md lists: "gasket-build"
  std::string what;       // one sentence
  std::string next_step;  // empty where there is nothing to do
};

struct Machine {
  /// Below it lie sys, dev, proc, lib/modules, usr/src and var/lib/dkms.
  std::filesystem::path root = "/";
  /// Where programs are looked for, as PATH lists it.
  std::vector<std::filesystem::path> programs = {};
  /// Google's compiler, where the user names one; empty: it is looked for among those.
  std::filesystem::path compiler = {};
};

/// In the order: runtime, libedgetpu and its list, PCIe devices, USB devices, compiler.
[[nodiscard]] std::vector<Finding> diagnose(const EdgeTpuLibraries& libraries,
                                            const Machine& machine);

}  // namespace segue
