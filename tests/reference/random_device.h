// Makes random devices on which transfers, streaming and hops matter for models of a few KB.
#pragma once

#include <cmath>
#include <random>
#include <vector>

#include "segue/device.h"

namespace segue::testing {

inline DeviceSpec random_device(std::mt19937& random) {
  DeviceSpec device = find_device("edgetpu-pcie");
  const auto between = [&](unsigned low, unsigned high) {
    return static_cast<double>(low + random() % (high - low));
  };
  device.name = "random";
  device.memory.capacity_bytes.value = between(1'000, 300'000);
  device.memory.reserved_row_bytes.value = between(0, 400);
  device.memory.least_reserved_rows.value = between(0, 30);
  device.timing.clock_hz.value = 1e6 * std::pow(2, between(0, 10));
  device.timing.link_bytes_per_s.value = between(1, 400) * 1e6;
  device.timing.invoke_ns.value = between(0, 50'000);
  device.timing.instruction_share.value = static_cast<double>(random() % 2);
  device.timing.operator_cycles.value = between(0, 3'000);
  device.timing.input_ns_per_byte.value = between(0, 5);
  device.timing.output_ns_per_byte.value = between(0, 20);
  device.timing.host_slowdown.value = between(1, 4);
  device.timing.hop_ns.value = random() % 2 == 0 ? 0 : between(0, 100'000);
  return device;
}

// Makes two or three kinds of one or two devices each; some kinds share a link.
inline std::vector<DevicePool> random_pools(std::mt19937& random) {
  std::vector<DevicePool> pools;
  for (std::size_t p = 0; p < 2 + random() % 2; ++p) {
    pools.push_back(
        {random_device(random), static_cast<std::uint32_t>(1 + random() % 2), random() % 4 == 0});
  }
  return pools;
}

}  // namespace segue::testing
