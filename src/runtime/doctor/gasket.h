// Why the kernel has no driver for Edge TPUs on PCIe: gasket and apex are not part of it, and
// sources stop building as its interfaces change.
#pragma once

#include <string>

#include "runtime/doctor/findings.h"

namespace segue {

// For a machine with cards (`count`: "2 Edge TPUs on PCIe") whose kernel has not loaded apex.
void check_gasket(Findings& findings, const Machine& machine, const std::string& count);

}  // namespace segue
