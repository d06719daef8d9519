// Finds out why the kernel has no driver for Edge TPUs on PCIe. The modules gasket and apex are not
// part of the kernel, and their sources no longer build when its interfaces change.
#pragma once

#include <string>

#include "runtime/doctor/findings.h"

namespace segue {

// Call it on a machine with cards whose kernel has not loaded apex. `count` is for example "2 Edge
// TPUs on PCIe".
void check_gasket(Findings& findings, const Machine& machine, const std::string& count);

}  // namespace segue
