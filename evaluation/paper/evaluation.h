// Computes what several experiments need, when the first of them asks for it.
#pragma once

#include <cstdint>
#include <mutex>
#include <string_view>
#include <vector>

#include "evaluation/accuracy/accuracy.h"
#include "evaluation/paper/networks.h"
#include "evaluation/paper/paper.h"

namespace segue::paper {

// One network of the convolutional or the dense sweep.
struct SweepPoint {
  std::int32_t size = 0;  // filters or units
  std::uint64_t parameter_bytes = 0;
  std::uint64_t macs = 0;
  Nanoseconds one_tpu{0};
  std::uint64_t on_chip_bytes = 0;  // on one TPU
  std::uint64_t host_bytes = 0;
  // [0] on 2 TPUs, [1] on 3, [2] on 4, in batches of 15.
  struct Pipeline {
    Plan vendor;
    Plan profiled;
    Nanoseconds vendor_batch{0};  // time per input
    Nanoseconds profiled_batch{0};
  };
  std::array<Pipeline, 3> pipelines;
};

// A CNN of the zoo on one TPU.
struct OneTpuPoint {
  std::string model;
  std::uint64_t operators = 0;
  std::uint32_t depth = 0;
  std::uint64_t parameter_bytes = 0;
  std::uint64_t macs = 0;
  SegmentTime time;
  std::uint64_t on_chip_bytes = 0;
  std::uint64_t host_bytes = 0;
  bool fits = false;  // whether nothing is streamed for lack of space
};
[[nodiscard]] OneTpuPoint on_one_tpu(const std::string& model, const DeviceSpec& device);

class Evaluation {
 public:
  Evaluation(PaperProgress progress, std::size_t steps)
      : progress_(std::move(progress)), steps_(steps) {}

  [[nodiscard]] static const DeviceSpec& device() { return find_device("edgetpu-pcie"); }
  [[nodiscard]] const std::vector<AccuracySeries>& accuracy();
  [[nodiscard]] const AccuracySeries& series(std::string_view key);
  [[nodiscard]] const std::vector<OneTpuPoint>& one_tpu();  // those of kNetworks
  [[nodiscard]] const std::vector<NetworkPlans>& networks();
  [[nodiscard]] const std::vector<SweepPoint>& conv_sweep();
  [[nodiscard]] const std::vector<SweepPoint>& dense_sweep();

  void step_done();

 private:
  PaperProgress progress_;
  std::size_t steps_;
  std::mutex mutex_;  // guards done_, which several threads count
  std::size_t done_ = 0;
  std::vector<AccuracySeries> accuracy_;
  std::vector<OneTpuPoint> one_tpu_;
  std::vector<NetworkPlans> networks_;
  std::vector<SweepPoint> conv_sweep_;
  std::vector<SweepPoint> dense_sweep_;
};

}  // namespace segue::paper
