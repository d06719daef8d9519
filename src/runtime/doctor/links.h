// Checks of the devices on PCIe and on USB.
#pragma once

#include <span>

#include "runtime/doctor/access.h"
#include "runtime/doctor/findings.h"
#include "runtime/edgetpu/hardware.h"

namespace segue {

void check_pcie(Findings& findings, const Machine& machine, std::span<const PcieCard> cards,
                const User& user);
void check_usb(Findings& findings, const Machine& machine, std::span<const UsbStick> sticks,
               const User& user);

}  // namespace segue
