// Devices on which transfers, streaming and hops all weigh something for models of a few KB.
#pragma once

#include <cmath>
#include <random>

#include "segue/device.h"

namespace segue::testing {

inline DeviceSpec random_device(std::mt19937& random) {
  DeviceSpec device = find_device("edgetpu-pcie");
  const auto between = [&](unsigned low, unsigned high) {
    return static_cast<double>(low + random() % (high - low));
  };
  device.name = "random";
  device.memory.capacity_bytes.value = between(1'000, 300'000);
  device.timing.clock_hz.value = 1e6 * std::pow(2, between(0, 10));
  device.timing.link_bytes_per_s.value = between(1, 400) * 1e6;
  device.timing.invoke_ns.value = between(0, 50'000);
  device.timing.hop_ns.value = random() % 2 == 0 ? 0 : between(0, 100'000);
  device.timing.output_window_bytes.value = 0;
  return device;
}

}  // namespace segue::testing
