// Times of detectors on one Edge TPU: published ones next to simulated ones.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "segue/cost.h"
#include "segue/report.h"

namespace segue::paper {

struct AloneTime {
  std::string_view zoo;
  double measured_ms = 0;
  bool is_reported = false;  // whether the experiment reports the network on 2 to 8 TPUs
  SegmentTime simulated;
  [[nodiscard]] double ratio() const;  // measured / simulated
};

// The same device, driven as CodeProject.AI does.
[[nodiscard]] DeviceSpec with_python_runner(DeviceSpec device);

// CodeProject.AI's times of whole networks on one PCIe TPU.
[[nodiscard]] std::vector<AloneTime> detectors_alone(const DeviceSpec& device);

[[nodiscard]] Table alone_table(std::span<const AloneTime> times);

// Ultralytics' times of YOLOv8 at 250 and 500 MHz. Their difference depends neither on the host nor
// on the link.
[[nodiscard]] Table clocks_table();

}  // namespace segue::paper
